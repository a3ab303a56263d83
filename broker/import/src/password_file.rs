//! Password files: `name:hash` in each line, as `mosquitto_passwd` writes them.

use std::path::Path;

use crate::{Gathered, ImportedUser};

pub(crate) fn read(path: &Path, text: &str, collected: &mut Gathered) {
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim_end());
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, hash)) = line.split_once(':') else {
            collected.remark(path, number, "this line has no colon between a name and a hash");
            continue;
        };
        if !hash.starts_with('$') {
            // The text may be a password, so it is not shown.
            let told = format!(
                "user {name:?} has no hash; `mosquitto_passwd -U FILE` makes hashes of plain passwords"
            );
            collected.remark(path, number, told);
            continue;
        }
        let user = ImportedUser { name: name.to_owned(), hash: hash.to_owned(), groups: Vec::new() };
        collected.add_user(path, number, user);
    }
}
