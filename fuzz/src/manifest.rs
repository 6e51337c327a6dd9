//! Lines of a manifest.

use cargo_klp::patch::manifest::Manifest;
use klp_format::manifest::{self, Column};

/// Reads all lines as a section has them, and writes again what each says.
pub fn run(data: &[u8]) {
    let mut manifest = Manifest::default();
    let _ = manifest.add(data);
    let _ = manifest.counts();
    for line in String::from_utf8_lossy(data).split('\0') {
        let Ok(read) = manifest::read(line) else { continue };
        let columns = manifest::write(read.clone()).into_iter().map(|column| match column {
            Column::Text(text) => text,
            Column::Number(number) => number.to_string(),
        });
        let written = columns.collect::<Vec<_>>().join("\t");
        // A text may have had control characters, which no writer writes.
        if !line.contains(|letter: char| letter.is_control() && letter != '\t') {
            assert_eq!(manifest::read(&written), Ok(read), "{written:?}");
        }
    }
}
