//! What cache and store need of a client for the Redis protocol, and nothing more: the seam behind which a client can be changed.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::follower::Channel;
use super::scripts::Program;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::cache::Follower;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Number(i64),
    Bytes(Bytes),
    List(Vec<Self>),
    Nothing,
}

impl Reply {
    pub(super) fn number(&self) -> Result<i64> {
        match self {
            Self::Number(number) => Ok(*number),
            _ => Err(unexpected()),
        }
    }

    pub(super) fn bytes(&self) -> Result<&Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(unexpected()),
        }
    }

    pub(super) fn list(&self) -> Result<&[Self]> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err(unexpected()),
        }
    }
}

pub(super) fn unexpected() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the Redis server gave an answer of another kind than was asked for",
    )
}

/// One run of a script.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<Bytes>,
}

/// Why a call was not answered by its script.
#[derive(Clone, Debug)]
pub(super) enum Failed {
    /// The server refused it, or it was never sent: nothing of it was done, and nothing will be.
    Refused(Error),
    /// It may have been done, or may be done yet.
    Doubtful(Error),
}

impl Failed {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Doubtful(error) => error,
        }
    }
}

/// A client of one server or cluster. Dropping a call leaves the connections as they were.
#[async_trait]
pub(super) trait RespClient: Debug + Send + Sync {
    /// The values of these keys, in one round trip for each server concerned.
    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Bytes>>>;

    /// Runs a script once for each call, all on their way at once; loads it where a server does not know it.
    async fn run(&self, program: &Program, calls: Vec<Call>) -> Result<Vec<Reply>>;

    /// Runs a script once, and tells what is known when it is not answered; loads it where the server does not know it.
    async fn decide(&self, program: &Program, call: Call) -> Result<Reply, Failed>;

    /// The server's time in milliseconds.
    async fn time(&self) -> Result<i64>;

    /// Asks every server for a sign of life.
    async fn ping(&self) -> Result<()>;

    /// Opens all connections anew, in the background: nobody is answered on those that there are.
    fn reconnect(&self);

    /// Tells the follower what is published on the channel, until `close`.
    fn follow(&self, channel: Channel, follower: Arc<dyn Follower>);

    async fn close(&self);
}
