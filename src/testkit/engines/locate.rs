//! Finds an engine's programs and the user that may run them.

use std::path::PathBuf;
use std::process::Command;

use super::setting;

/// The folder that holds all of `programs`: one of `PATH`'s, else the newest that matches `patterns`.
///
/// A pattern is a folder whose one component `*` stands for a version number.
pub(super) fn folder_with(programs: &[&str], patterns: &[&str]) -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    let versioned = patterns.iter().flat_map(|pattern| versions(pattern));
    std::env::split_paths(&path)
        .chain(versioned)
        .find(|folder| programs.iter().all(|program| folder.join(program).is_file()))
}

/// The existing folders that match `pattern`, the highest version first.
fn versions(pattern: &str) -> Vec<PathBuf> {
    let Some((parent, rest)) = pattern.split_once("/*/") else {
        return vec![PathBuf::from(pattern)];
    };
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join(rest))))
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// A user of this machine that a server can run as.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// Looks `name` up in the user database, `None` if there is no such user.
pub(super) fn account(name: &str) -> Option<Account> {
    Some(Account {
        user: id("-u", name)?,
        group: id("-g", name)?,
    })
}

fn id(which: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([which, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_path_and_unknown_ones_are_not() {
        let shell = folder_with(&["sh"], &[]).expect("every Unix has a shell");
        assert!(shell.join("sh").is_file());
        assert_eq!(
            folder_with(&["sh", "no such program of stockroom"], &["/usr/lib/none/*/bin"]),
            None
        );
    }

    #[test]
    fn the_newest_version_comes_first() {
        let folder = super::super::folder::Folder::create("versions").expect("a temporary folder");
        for version in ["9", "15", "not-a-version"] {
            std::fs::create_dir_all(folder.path().join(version).join("bin")).expect("a folder");
        }
        let pattern = format!("{}/*/bin", folder.path().display());
        let found = versions(&pattern);
        assert_eq!(found, [folder.path().join("15/bin"), folder.path().join("9/bin")]);
    }

    #[test]
    fn root_is_user_zero_and_a_stranger_is_no_one() {
        assert_eq!(account("root").map(|root| root.user), Some(0));
        assert_eq!(account("stockroom-no-such-user"), None);
    }
}
