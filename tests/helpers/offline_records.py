"""What wandb wrote offline, read with wandb's own messages."""

import struct


def chunks(data):
    """Records of a .wandb file: LevelDB's log format (blocks of 32 KiB; crc, length, type) after 7 bytes of header."""
    assert data[:4] == b":W&B"
    position, record = 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            return
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def runs(folder):
    """The offline runs of a sweep's folder: each with its own folder and its records. Ends wandb's service."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()
    return [
        (path.parent, [Record.FromString(chunk) for chunk in chunks(path.read_bytes())])
        for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    ]


def of_kind(records, kind):
    return [getattr(record, kind) for record in records if record.HasField(kind)]
