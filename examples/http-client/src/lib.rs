//! A page by HTTP/1.1, by the crate `reqwless`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;

use embedded_io_async::Read;
use embedded_nal_async::{Dns, TcpConnect};
use reqwless::Error;
use reqwless::client::HttpClient;
use reqwless::request::Method;
use reqwless::response::BodyReader;

/// All headers of an answer have so many bytes at most.
const MOST_HEADERS: usize = 8 << 10;

/// Gets the page at `url`, gives its bytes to `sink` as they come, and its status to the caller. It waits as long as its
/// caller lets it.
///
/// # Errors
///
/// `reqwless`'s: of the URL, the name, the connection, or an answer that is none. `https://` is not for this one.
pub async fn get(
    tcp: &impl TcpConnect,
    dns: &impl Dns,
    url: &str,
    mut sink: impl FnMut(&[u8]),
) -> Result<u16, Error> {
    let mut client = HttpClient::new(tcp, dns);
    let mut headers = vec![0; MOST_HEADERS];
    let mut request = client.request(Method::GET, url).await?;
    let answer = request.send(&mut headers).await?;
    let (status, announced) = (answer.status.0, answer.content_length);
    let mut body = answer.body().reader();
    let (mut bytes, mut len) = (vec![0; 4096], 0);
    loop {
        match body.read(&mut bytes).await? {
            0 => break,
            count => {
                len += count;
                sink(&bytes[..count]);
            }
        }
    }
    // reqwless 0.14 takes the end of the connection for that of the body.
    let is_cut = match &body {
        BodyReader::Chunked(chunks) => !chunks.is_done(),
        _ => announced.is_some_and(|announced| announced != len),
    };
    if is_cut { Err(Error::ConnectionAborted) } else { Ok(status) }
}
