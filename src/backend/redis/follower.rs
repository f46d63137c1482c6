//! Invalidations that the server publishes, and the proof that none was missed.
//!
//! A connection that is subscribed says nothing when there is nothing, and nothing when it is dead. So a marker is published
//! on the same channel again and again: whoever gets it back has been given everything that was published before it, for a
//! server sends a subscriber its messages in order. Where connections were lost in between, everything is in doubt first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::spi::cache::Follower;

/// How often a marker is published: several times in the second that a tier in front may be behind.
pub(super) const MARKER_EVERY: Duration = Duration::from_millis(250);

/// What a marker begins with; no key does.
const MARKER: char = '!';

/// A marker that has not come back by then never will: the connection is opened anew.
const DEAF: Duration = Duration::from_secs(3);

/// Markers that are remembered while they are on their way.
const MARKERS: usize = 64;

/// The channel of a cache, and the name under which a follower publishes its markers.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) follower: String,
}

/// Takes messages apart: keys, markers of this follower, markers of others.
#[derive(Debug)]
pub(super) struct Listener {
    follower: Arc<dyn Follower>,
    name: String,
    sent: u64,
    markers: VecDeque<(u64, Instant)>,
}

impl Listener {
    pub(super) fn new(channel: &Channel, follower: Arc<dyn Follower>) -> Self {
        Self {
            follower,
            name: format!("{MARKER}{}:", channel.follower),
            sent: 0,
            markers: VecDeque::new(),
        }
    }

    /// The next marker to publish.
    pub(super) fn marker(&mut self) -> String {
        self.sent += 1;
        if self.markers.len() == MARKERS {
            self.markers.pop_front();
        }
        self.markers.push_back((self.sent, Instant::now()));
        format!("{}{}", self.name, self.sent)
    }

    /// A message came.
    pub(super) fn heard(&mut self, message: &str) {
        if !message.starts_with(MARKER) {
            return self.follower.invalidated(message);
        }
        let Some(number): Option<u64> = message
            .strip_prefix(&self.name)
            .and_then(|number| number.parse().ok())
        else {
            return;
        };
        while let Some((sent, at)) = self.markers.pop_front() {
            if sent == number {
                return self.follower.sound(at);
            }
        }
    }

    /// Whether markers do not come back.
    pub(super) fn is_deaf(&self) -> bool {
        self.markers.front().is_some_and(|(_, at)| at.elapsed() > DEAF)
    }

    /// Messages were lost, or may have been: markers from before prove nothing.
    pub(super) fn doubt(&mut self) {
        self.markers.clear();
        self.follower.doubt();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Ear(Mutex<Vec<String>>);

    impl Follower for Ear {
        fn invalidated(&self, key: &str) {
            self.0.lock().unwrap().push(key.to_owned());
        }

        fn doubt(&self) {
            self.0.lock().unwrap().push("doubt".to_owned());
        }

        fn sound(&self, _: Instant) {
            self.0.lock().unwrap().push("sound".to_owned());
        }
    }

    fn listener() -> (Arc<Ear>, Listener) {
        let ear = Arc::new(Ear::default());
        let channel = Channel {
            name: "c".to_owned(),
            follower: "me".to_owned(),
        };
        (Arc::clone(&ear), Listener::new(&channel, ear))
    }

    #[test]
    fn only_its_own_markers_prove_anything() {
        let (ear, mut listener) = listener();
        let (first, second) = (listener.marker(), listener.marker());
        listener.heard("a:b:c");
        listener.heard("!other:1");
        listener.heard(&second);
        listener.heard(&first);
        assert_eq!(*ear.0.lock().unwrap(), ["a:b:c", "sound"]);
    }

    #[test]
    fn a_marker_from_before_a_doubt_proves_nothing() {
        let (ear, mut listener) = listener();
        let before = listener.marker();
        listener.doubt();
        listener.heard(&before);
        let after = listener.marker();
        listener.heard(&after);
        assert_eq!(*ear.0.lock().unwrap(), ["doubt", "sound"]);
    }
}
