//! A table of symbols for tests. The fuzz targets include this file too.

/// Writes a table as `scripts/kallsyms.c` does, between other data.
///
/// A symbol is its offset and its name, with the letter of its kind before it. `offsets_first` is the order up to Linux
/// 6.3. One token stands for more than a letter: `klp_`.
pub(crate) fn table(symbols: &[(u32, String)], base: u64, offsets_first: bool) -> Vec<u8> {
    let pad = |data: &mut Vec<u8>| data.resize(data.len().next_multiple_of(8), 0);
    let mut offsets: Vec<u8> = symbols.iter().flat_map(|(offset, _)| offset.to_le_bytes()).collect();
    pad(&mut offsets);
    offsets.extend(base.to_le_bytes());

    let mut data = b"something else, 0\x001\x002\x00 ".to_vec();
    pad(&mut data);
    if offsets_first {
        data.extend(&offsets);
    }
    data.extend((symbols.len() as u64).to_le_bytes());
    let (mut names, mut markers) = (Vec::new(), Vec::new());
    for (number, (_, name)) in symbols.iter().enumerate() {
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
    pad(&mut names);
    pad(&mut markers);
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
    pad(&mut texts);
    data.extend(texts);
    data.extend(index);
    if !offsets_first {
        data.extend(&offsets);
    }
    data.extend([0xff; 100]);
    data
}
