//! Just enough of PNG to tell a whole picture from a broken one.

/// Width and height of a whole PNG file: signature, chunks with correct checksums, a header first and an end last.
///
/// # Errors
/// What is wrong with it.
pub fn png_size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n").ok_or("it has no PNG signature")?;
    let mut size = None;
    let mut pixels = 0;
    loop {
        let (kind, data, after) = chunk(rest)?;
        match (kind, size) {
            (b"IHDR", None) if data.len() == 13 => size = Some((number(&data[..4]), number(&data[4..8]))),
            (_, None) => return Err("its first chunk is no header".into()),
            (b"IDAT", Some(_)) => pixels += data.len(),
            (b"IEND", Some(size)) if after.is_empty() && pixels > 0 => return Ok(size),
            (b"IEND", Some(_)) => return Err("it has no pixels, or bytes after its end".into()),
            (_, Some(_)) => {}
        }
        rest = after;
    }
}

type Chunk<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn chunk(bytes: &[u8]) -> Result<Chunk<'_>, String> {
    let (length, rest) = bytes.split_at_checked(4).ok_or("it ends before its end chunk")?;
    let length = usize::try_from(number(length)).map_err(|e| e.to_string())?;
    let (body, rest) = rest.split_at_checked(length + 4).ok_or("a chunk is cut off")?;
    let (sum, rest) = rest.split_at_checked(4).ok_or("a checksum is cut off")?;
    if number(sum) != checksum(body) {
        return Err("a chunk's checksum is wrong".into());
    }
    let (kind, data) = body.split_at(4);
    Ok((kind, data, rest))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// CRC-32 as PNG and zip have it.
fn checksum(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum)))
}
