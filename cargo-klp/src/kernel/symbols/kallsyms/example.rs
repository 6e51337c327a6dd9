//! Tables of symbols for tests. The fuzz targets include this file too.

/// Writes a table as `scripts/kallsyms.c` does, between other data.
///
/// A symbol is its offset and its name, with the letter of its kind before it. `offsets_first` is the order up to Linux
/// 6.3. One token stands for more than a letter: `klp_`.
pub(crate) fn table(symbols: &[(u32, String)], base: u64, offsets_first: bool) -> Vec<u8> {
    let mut offsets: Vec<u8> = symbols.iter().flat_map(|(offset, _)| offset.to_le_bytes()).collect();
    pad(&mut offsets, 8);
    offsets.extend(base.to_le_bytes());

    let mut data = b"something else, 0\x001\x002\x00 ".to_vec();
    pad(&mut data, 8);
    if offsets_first {
        data.extend(&offsets);
    }
    data.extend((symbols.len() as u64).to_le_bytes());
    names_and_tokens(&mut data, symbols.iter().map(|(_, name)| name), 8);
    if !offsets_first {
        data.extend(&offsets);
    }
    data.extend([0xff; 100]);
    data
}

/// Writes a table of the later form, in which a symbol's number is the distance from there to its address. `at` is the
/// address of the data.
pub(crate) fn distances(symbols: &[(u64, String)], at: u64) -> Vec<u8> {
    let mut data = b"something else, 0\x001\x002\x00 ".to_vec();
    pad(&mut data, 4);
    data.extend((symbols.len() as u32).to_le_bytes());
    names_and_tokens(&mut data, symbols.iter().map(|(_, name)| name), 4);
    for (address, _) in symbols {
        let distance = address.wrapping_sub(at + data.len() as u64);
        data.extend((distance as u32).to_le_bytes());
    }
    data.extend([0xff; 100]);
    data
}

fn pad(data: &mut Vec<u8>, step: usize) {
    data.resize(data.len().next_multiple_of(step), 0);
}

/// Adds names, marks, tokens and the index of the tokens; each part starts at a multiple of `step`.
fn names_and_tokens<'a>(data: &mut Vec<u8>, all: impl Iterator<Item = &'a String>, step: usize) {
    let (mut names, mut markers) = (Vec::new(), Vec::new());
    for (number, name) in all.enumerate() {
        if number % 256 == 0 {
            markers.extend((names.len() as u32).to_le_bytes());
        }
        let bytes = name.replace("klp_", "\x01").into_bytes();
        match u8::try_from(bytes.len()) {
            Ok(short @ ..0x80) => names.push(short),
            _ => names.extend([bytes.len() as u8 & 0x7f | 0x80, (bytes.len() >> 7) as u8]),
        }
        names.extend(bytes);
    }
    pad(&mut names, step);
    pad(&mut markers, step);
    data.extend(names);
    data.extend(markers);
    let (mut texts, mut index) = (Vec::new(), Vec::new());
    for token in 0..=255u8 {
        index.extend((texts.len() as u16).to_le_bytes());
        match token {
            1 => texts.extend(b"klp_"),
            b' '..=b'~' => texts.push(token),
            _ => {}
        }
        texts.push(0);
    }
    pad(&mut texts, step);
    data.extend(texts);
    data.extend(index);
}
