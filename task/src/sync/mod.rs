//! What tasks and interrupt handlers share.
