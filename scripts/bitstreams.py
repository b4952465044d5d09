"""Makes the compressed pixels of the validation's test images anew: `python scripts/bitstreams.py`.

Needed on PATH, and by nobody who only runs a site: dcmcjpeg, dcmcjpls and dcmcrle (DCMTK), opj_compress (OpenJPEG),
ojph_compress (OpenJPH), cjxl (libjxl), and ffmpeg with libx264 and libx265.
"""

from __future__ import annotations

import io
import struct
import subprocess
import tempfile
import zipfile
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from orthweb.validation.samples import bitmap_font
from orthweb.validation.samples.bitstreams import ARCHIVE, RAW, RAW_12, SIDE

_ENCAPSULATED = "1.2.840.10008.1.2.4."
# A fixed date, so that the same streams make the same archive (the first that a ZIP file can hold).
_DATE = (1980, 1, 1, 0, 0, 0)
# Of a codestream's main header (ISO/IEC 15444-1 annex A): start of a tile-part, and the lengths of tile-parts.
_SOT, _TLM = b"\xff\x90", b"\xff\x55"


def main() -> None:
    """Write the archive."""
    with tempfile.TemporaryDirectory() as folder:
        streams = {
            RAW: picture(8),
            RAW_12: picture(12),
            **_by_dcmtk(Path(folder)),
            **_by_stills(Path(folder)),
            **_by_ffmpeg(Path(folder)),
        }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(streams):
            archive.writestr(zipfile.ZipInfo(name, _DATE), streams[name], zipfile.ZIP_DEFLATED)
            print(f"{name:28} {len(streams[name]):6} bytes")
    ARCHIVE.write_bytes(buffer.getvalue())
    print(f"{ARCHIVE}: {len(buffer.getvalue())} bytes")


def picture(bits: int) -> bytes:
    """A ramp from the left to the right, and the word TEST; above 8 bits in two bytes a pixel, little endian."""
    top = (1 << bits) - 1
    rows = [[column * top // (SIDE - 1) for column in range(SIDE)] for _ in range(SIDE)]
    for row, column, run in bitmap_font.runs("TEST"):
        for y in (20 + 2 * row, 21 + 2 * row):
            first = 8 + 2 * column
            rows[y][first : first + 2 * run] = [top if first < SIDE // 2 else 0] * (2 * run)
    return b"".join(struct.pack(f"<{SIDE}{'B' if bits == 8 else 'H'}", *row) for row in rows)


def _by_dcmtk(folder: Path) -> dict[str, bytes]:
    """JPEG, JPEG-LS and RLE."""
    eight, twelve = _file(folder / "8.dcm", 8), _file(folder / "12.dcm", 12)
    commands = {
        _ENCAPSULATED + "50": ("dcmcjpeg", "+eb", eight),
        _ENCAPSULATED + "51": ("dcmcjpeg", "+ee", twelve),
        _ENCAPSULATED + "57": ("dcmcjpeg", "+el", eight),
        _ENCAPSULATED + "70": ("dcmcjpeg", "+e1", eight),
        _ENCAPSULATED + "80": ("dcmcjpls", "+el", eight),
        _ENCAPSULATED + "81": ("dcmcjpls", "+en", eight),
        "1.2.840.10008.1.2.5": ("dcmcrle", eight),
    }
    made = {}
    for syntax, (program, *words) in commands.items():
        _run(program, *words, folder / "made.dcm")
        encoded = dcmread(folder / "made.dcm")
        if encoded.file_meta.TransferSyntaxUID != syntax:
            raise SystemExit(f"{program} made {encoded.file_meta.TransferSyntaxUID}, not {syntax}")
        (made[syntax],) = generate_frames(encoded.PixelData, number_of_frames=1)
    return made


def _by_stills(folder: Path) -> dict[str, bytes]:
    """JPEG 2000, its high throughput, and JPEG XL."""
    source, jpeg = folder / "8.pgm", folder / "8.jpg"
    source.write_bytes(b"P5\n%d %d\n255\n" % (SIDE, SIDE) + picture(8))
    _run("dcmcjpeg", "+eb", folder / "8.dcm", folder / "jpeg.dcm")
    (stream,) = generate_frames(dcmread(folder / "jpeg.dcm").PixelData, number_of_frames=1)
    jpeg.write_bytes(stream)

    def made(suffix: str, *words: str | Path) -> bytes:
        target = folder / f"made.{suffix}"
        _run(*(target if word == "TARGET" else word for word in words))
        return target.read_bytes()

    openjph = ("ojph_compress", "-i", source, "-o", "TARGET", "-prog_order", "RPCL", "-reversible")
    return {
        _ENCAPSULATED + "90": made("j2k", "opj_compress", "-i", source, "-o", "TARGET"),
        _ENCAPSULATED + "91": made("j2k", "opj_compress", "-i", source, "-o", "TARGET", "-I", "-r", "4"),
        _ENCAPSULATED + "201": made("j2c", *openjph, "true"),
        _ENCAPSULATED + "202": with_tile_lengths(made("j2c", *openjph, "true")),
        _ENCAPSULATED + "203": made("j2c", *openjph, "false", "-qstep", "0.01"),
        _ENCAPSULATED + "110": made("jxl", "cjxl", source, "TARGET", "-d", "0"),
        _ENCAPSULATED + "111": made("jxl", "cjxl", jpeg, "TARGET", "--lossless_jpeg=1"),
        _ENCAPSULATED + "112": made("jxl", "cjxl", source, "TARGET", "-d", "1"),
    }


def with_tile_lengths(stream: bytes) -> bytes:
    """Put a TLM marker segment (ISO/IEC 15444-1 A.7.1) before the only tile-part: RPCL demands it (PS3.5 A.4.4)."""
    at = stream.index(_SOT)
    (length,) = struct.unpack_from(">I", stream, at + 6)
    if at + length != len(stream) - 2:
        raise SystemExit("ojph_compress made more than one tile-part")
    # Ztlm 0, and Stlm: no tile indices, lengths of 4 bytes.
    return stream[:at] + _TLM + struct.pack(">HBBI", 8, 0, 0x40, length) + stream[at:]


def _by_ffmpeg(folder: Path) -> dict[str, bytes]:
    """MPEG-2, H.264 and HEVC: two grey pictures of a size and rate that the profile has (PS3.5 8.2.5 to 8.2.11)."""

    def made(size: str, rate: str, suffix: str, *words: str) -> bytes:
        grey, target = f"color=gray:size={size}:rate={rate}", folder / f"made.{suffix}"
        options = ("-frames:v", "2", "-pix_fmt", "yuv420p", "-fflags", "+bitexact", "-flags:v", "+bitexact")
        _run("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", grey, *options, *words, target)
        return target.read_bytes()

    def mpeg2(size: str, profile: str, level: str) -> bytes:
        return made(size, "25", "m2v", "-c:v", "mpeg2video", "-profile:v", profile, "-level:v", level)

    def h264(level: str, more: str = "") -> bytes:
        parameters = "bluray-compat=1:keyint=25" + more
        return made("1280x720", "50", "mp4", "-c:v", "libx264", "-profile:v", "high", "-level:v", level,
                    "-x264-params", parameters)  # fmt: skip

    def hevc(profile: str) -> bytes:
        deep = ("-pix_fmt", "yuv420p10le") if profile == "main10" else ()
        return made("1280x720", "50", "mp4", "-c:v", "libx265", *deep, "-x265-params",
                    f"profile={profile}:level-idc=5.1:log-level=none")  # fmt: skip

    return {
        _ENCAPSULATED + "100": mpeg2("720x576", "4", "8"),
        _ENCAPSULATED + "101": mpeg2("1280x720", "4", "4"),
        _ENCAPSULATED + "102": h264("4.1"),
        _ENCAPSULATED + "103": h264("4.1"),
        _ENCAPSULATED + "104": h264("4.2"),
        _ENCAPSULATED + "105": h264("4.2", ":frame-packing=3"),
        _ENCAPSULATED + "107": hevc("main"),
        _ENCAPSULATED + "108": hevc("main10"),
    }


def _file(path: Path, bits: int) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 if bits == 8 else 16, bits, bits - 1
    dataset.PixelData = picture(bits)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def _run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    main()
