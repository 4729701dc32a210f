//! A message to an MQTT broker and back (MQTT 5.0), by the crate `rust-mqtt`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use embedded_io_async::{Read, Write};
use rust_mqtt::Bytes;
use rust_mqtt::buffer::AllocBuffer;
use rust_mqtt::client::Client;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    ConnectOptions, DisconnectOptions, PublicationOptions, SubscriptionOptions, TopicReference,
};
use rust_mqtt::types::{MqttString, TopicFilter, TopicName};

/// Why the message has not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The topic is no name of a topic.
    Topic,
    /// The broker does not let us in, or the stream is broken.
    Connect,
    /// The broker does not let us subscribe, or does not answer.
    Subscribe,
    /// The message was not taken, or did not come back.
    Publish,
}

/// Connects as `name`, subscribes to `topic`, publishes `message` there, and gives what the broker sends of it. Both ways
/// are of quality 1: acknowledged. It waits as long as its caller lets it.
///
/// # Errors
///
/// As [`Error`] says.
pub async fn echo(
    stream: impl Read + Write,
    name: &str,
    topic: &str,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut memory = AllocBuffer;
    // So many subscriptions at once, messages under way here and there, subscription identifiers, user properties, and
    // aliases of topics here and there.
    let mut client = Client::<'_, '_, _, _, 1, 1, 1, 1, 1, 0, 0>::new(&mut memory);
    let name = MqttString::try_from(name).map_err(|_| Error::Connect)?;
    let connect = ConnectOptions::new().clean_start();
    client.connect(stream, &connect, Some(name)).await.map_err(|_| Error::Connect)?;

    let topic = MqttString::try_from(topic).map_err(|_| Error::Topic)?;
    let filter = TopicFilter::new(topic.as_borrowed()).ok_or(Error::Topic)?;
    let options = SubscriptionOptions::new().at_least_once();
    client.subscribe(filter, &options).await.map_err(|_| Error::Subscribe)?;
    match client.poll().await {
        Ok(Event::Suback(answer)) if answer.reason_code.is_success() => {}
        _ => return Err(Error::Subscribe),
    }

    let topic = TopicReference::Name(TopicName::new(topic).ok_or(Error::Topic)?);
    let options = PublicationOptions::new(topic).at_least_once();
    client.publish(&options, Bytes::from(message)).await.map_err(|_| Error::Publish)?;
    let (mut taken, mut back) = (false, None);
    while !taken || back.is_none() {
        match client.poll().await.map_err(|_| Error::Publish)? {
            Event::Publish(publish) => back = Some(publish.message.as_bytes().to_vec()),
            Event::PublishAcknowledged(_) => taken = true,
            Event::PublishRejected(_) => return Err(Error::Publish),
            _ => {}
        }
    }
    // What has come back has come back, however the broker takes the farewell.
    let _ = client.disconnect(&DisconnectOptions::new()).await;
    back.ok_or(Error::Publish)
}
