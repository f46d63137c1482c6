//! Bodies of answers: read as a whole, and given in pieces.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use tokio::time::Instant;
use tokio::time::Sleep;

/// Pieces that a slow body comes in.
const PIECES: u32 = 4;

/// Waits for all of an answer: the service has done then what it was asked for.
pub(super) async fn whole(mut answer: HttpResponse) -> Result<(HttpResponse, Bytes), ConnectorError> {
    let mut body = Box::pin(answer.take_body());
    let mut content = Vec::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(ConnectorError::io)?;
        content.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    Ok((answer, content.into()))
}

/// The same answer, whose body takes so long.
pub(super) fn slowly(mut answer: HttpResponse, content: Bytes, length: Duration) -> HttpResponse {
    let size = content.len().div_ceil(PIECES as usize).max(1);
    let pieces = content
        .chunks(size)
        .map(|piece| content.slice_ref(piece))
        .collect();
    let pause = length / PIECES;
    *answer.body_mut() = SdkBody::from_body_1_x(SlowBody {
        pieces,
        pause,
        sleep: Box::pin(tokio::time::sleep(pause)),
    });
    answer
}

/// Gives one piece after each pause.
struct SlowBody {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Body for SlowBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Whoever has all of it asks again, and is not kept waiting.
        if self.pieces.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.sleep.as_mut().poll(context));
        let next = Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_slow_body_is_the_same_body() {
        for content in ["", "0", "0123456789"].map(|text| Bytes::from_static(text.as_bytes())) {
            let answer = HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::empty());
            let slow = slowly(answer, content.clone(), Duration::from_millis(4));
            let (_, read) = whole(slow).await.unwrap();
            assert_eq!(read, content);
        }
    }
}
