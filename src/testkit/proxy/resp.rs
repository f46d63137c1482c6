//! The framing of the Redis protocol: as much of it as tells where a command ends and what it is called.

/// The length of the first command in `bytes`, and its name, or `None` while it is not all there.
pub(super) fn command(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (words, mut at) = number(bytes, 0, b'*')?;
    let mut name: &[u8] = &[];
    for word in 0..words {
        let (length, from) = number(bytes, at, b'$')?;
        let end = from.checked_add(length)?;
        if word == 0 {
            name = bytes.get(from..end)?;
        }
        at = end + LINE_END.len();
    }
    (at <= bytes.len()).then_some((at, name))
}

const LINE_END: &[u8] = b"\r\n";

/// The number in the line at this place, which begins with this mark, and the place behind the line.
fn number(bytes: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    let end = line.windows(LINE_END.len()).position(|pair| pair == LINE_END)?;
    let digits = line.get(..end)?.strip_prefix(&[mark])?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, at + end + LINE_END.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_when_its_last_byte_is_there() {
        let get = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n";
        for length in 0..get.len() {
            assert_eq!(command(&get[..length]), None, "{length}");
        }
        assert_eq!(command(get), Some((get.len(), &b"GET"[..])));
        let two = [&get[..], b"*1\r\n$4\r\nPING\r\n"].concat();
        assert_eq!(command(&two), Some((get.len(), &b"GET"[..])));
        assert_eq!(command(&two[get.len()..]), Some((14, &b"PING"[..])));
    }
}
