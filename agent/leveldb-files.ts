/**
 * LevelDB's files, read as they lie: logs and tables, every block against its check sum, for an outbox that LevelDB
 * itself cannot be trusted with. It reads blocks without looking at their sums, goes on behind a part of a log that is
 * broken, and ends the process when keys are out of order; so it gets no file that is not as it was written.
 * The formats: doc/log_format.md and doc/table_format.md of LevelDB. Blocks are not compressed.
 */

/** One change of a key. */
export interface Change {
  readonly key: string
  /** Undefined: it was deleted. */
  readonly value: string | undefined
  /** The later one of two counts. */
  readonly at: number
}

const blockBytes = 32_768
const headerBytes = 7
const [full, first, middle, last] = [1, 2, 3, 4]

/** The records of a log, or of a manifest, which is one. */
function readRecords(file: Buffer): { records: Buffer[]; isSound: boolean } {
  const records: Buffer[] = []
  let isSound = true
  let parts: Buffer[] = []
  for (let block = 0; block < file.length; block += blockBytes) {
    const end = Math.min(block + blockBytes, file.length)
    for (let at = block; at + headerBytes <= end; ) {
      const length = file.readUInt16LE(at + 4)
      const type = file[at + 6] ?? 0
      const payload = file.subarray(at + headerBytes, at + headerBytes + length)
      // The writer died here, or left the rest of its block empty.
      if (at + headerBytes + length > file.length || (type === 0 && length === 0)) break
      if (at + headerBytes + length > end || sumOf(file, at + 6, length + 1) !== file.readUInt32LE(at)) {
        isSound = false
        parts = []
        break
      }
      if (type === full || type === first) parts = []
      if ((type === middle || type === last) && parts.length === 0) isSound = false
      else parts.push(payload)
      if ((type === full || type === last) && parts.length > 0) {
        records.push(Buffer.concat(parts))
        parts = []
      }
      at += headerBytes + length
    }
  }
  return { records, isSound }
}

/** What a manifest says is in use; a compaction that was interrupted leaves tables that are not. */
export interface LiveFiles {
  readonly tables: readonly number[]
  /** Older ones are in tables already. */
  readonly firstLog: number
  readonly isSound: boolean
}

/** All others are followed by one number. */
const tags = { comparator: 1, log: 2, pointer: 5, deleted: 6, added: 7 }

export function readManifest(file: Buffer): LiveFiles {
  const { records, isSound } = readRecords(file)
  const tables = new Set<number>()
  let firstLog = 0
  for (const record of records) {
    const reader = createReader(record)
    while (reader.isInside) {
      const tag = reader.varint()
      if (tag === tags.comparator) reader.text()
      else if (tag === tags.log) firstLog = reader.varint()
      else if (tag === tags.pointer) reader.skip('varint', 'text')
      else if (tag === tags.deleted) tables.delete(reader.skip('varint').varint())
      else if (tag === tags.added) {
        tables.add(reader.skip('varint').varint())
        reader.skip('varint', 'text', 'text')
      } else reader.varint()
    }
  }
  return { tables: [...tables], firstLog, isSound }
}

/** An end that a dying writer left is sound. */
export function isSoundLog(file: Buffer): boolean {
  return readRecords(file).isSound
}

/** What can be read of it. */
export function readLog(file: Buffer): Change[] {
  return readRecords(file).records.flatMap((record) => {
    const reader = createReader(record)
    const from = reader.uint64()
    const count = reader.uint32()
    const changes: Change[] = []
    for (let i = 0; i < count && reader.isInside; i++) {
      const isPut = reader.byte() === 1
      const key = reader.text()
      changes.push({ key, value: isPut ? reader.text() : undefined, at: from + i })
    }
    return changes
  })
}

const footerBytes = 48
const magic = 0xdb4775248b80fb57n
const trailerBytes = 5

/** The blocks of a table, undefined where one is not as it was written; nothing when they cannot be found. */
function blocksOf(file: Buffer): (Buffer | undefined)[] | undefined {
  if (file.length < footerBytes || file.readBigUInt64LE(file.length - 8) !== magic) return undefined
  const footer = createReader(file.subarray(file.length - footerBytes))
  footer.handle() // of the filter, which is none
  const index = blockOf(file, footer.handle())
  return index === undefined
    ? undefined
    : [...entriesOf(index)].map(([, handle]) => blockOf(file, createReader(handle).handle()))
}

export function isSoundTable(file: Buffer): boolean {
  return blocksOf(file)?.every((block) => block !== undefined) ?? false
}

/** What can be read of it. */
export function readTable(file: Buffer): Change[] {
  return (blocksOf(file) ?? []).flatMap((block) =>
    block === undefined
      ? []
      : [...entriesOf(block)].map(([key, value]) => {
          const tag = key.readBigUInt64LE(key.length - 8)
          return {
            key: key.toString('latin1', 0, key.length - 8),
            value: (tag & 0xffn) === 1n ? value.toString('utf8') : undefined,
            at: Number(tag >> 8n),
          }
        }),
  )
}

interface Handle {
  readonly offset: number
  readonly size: number
}

/** @returns undefined when it is not as it was written */
function blockOf(file: Buffer, { offset, size }: Handle): Buffer | undefined {
  if (offset + size + trailerBytes > file.length) return undefined
  const isSound = sumOf(file, offset, size + 1) === file.readUInt32LE(offset + size + 1)
  return isSound && file[offset + size] === 0 ? file.subarray(offset, offset + size) : undefined
}

function* entriesOf(block: Buffer): Generator<[Buffer, Buffer]> {
  const restarts = block.readUInt32LE(block.length - 4)
  const reader = createReader(block.subarray(0, block.length - 4 - 4 * restarts))
  let key = Buffer.alloc(0)
  while (reader.isInside) {
    const shared = reader.varint()
    const length = reader.varint()
    const valueLength = reader.varint()
    key = Buffer.concat([key.subarray(0, shared), reader.bytes(length)])
    yield [key, reader.bytes(valueLength)]
  }
}

function createReader(buffer: Buffer) {
  let at = 0
  const reader = {
    get isInside() {
      return at < buffer.length
    },
    byte: () => buffer[at++] ?? 0,
    varint() {
      let value = 0
      for (let factor = 1; reader.isInside; factor *= 128) {
        const byte = reader.byte()
        value += (byte & 127) * factor
        if (byte < 128) break
      }
      return value
    },
    bytes(length: number) {
      at += length
      return buffer.subarray(at - length, at)
    },
    text: () => reader.bytes(reader.varint()).toString('utf8'),
    uint32: () => reader.bytes(4).readUInt32LE(),
    uint64: () => Number(reader.bytes(8).readBigUInt64LE()),
    skip(...kinds: ('varint' | 'text')[]) {
      for (const kind of kinds) reader[kind]()
      return reader
    },
    handle: (): Handle => ({ offset: reader.varint(), size: reader.varint() }),
  }
  return reader
}

/** CRC-32C (Castagnoli), which zlib has not. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

/** Masked as LevelDB stores it. */
function sumOf(buffer: Buffer, from: number, length: number): number {
  let crc = 0xffffffff
  for (let at = from; at < from + length; at++)
    crc = (table[(crc ^ (buffer[at] as number)) & 0xff] as number) ^ (crc >>> 8) // both in range
  crc = ~crc >>> 0
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
