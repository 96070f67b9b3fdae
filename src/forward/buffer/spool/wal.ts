// The write-ahead log of an SQLite file (sqlite.org/fileformat2.html#walformat), after a crash.

const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24

/**
 * SQLite recovers the frames before the first damaged one and passes over the rest without a word.
 * Whether the rest has transactions, so that something was lost.
 */
export function isCutShort(log: Buffer): boolean {
  if (log.length < HEADER_BYTES) return false
  const frameBytes = FRAME_HEADER_BYTES + log.readUInt32BE(8)
  // The magic number has the byte order of the sums.
  const isBigEndian = (log[3]! & 1) === 1
  const word = (at: number) => (isBigEndian ? log.readUInt32BE(at) : log.readUInt32LE(at))
  let [first, second] = [0, 0]
  const add = (start: number, end: number) => {
    for (let at = start; at < end; at += 8) {
      first = (first + word(at) + second) >>> 0
      second = (second + word(at + 4) + first) >>> 0
    }
  }
  const agrees = (at: number) =>
    log.readUInt32BE(at) === first && log.readUInt32BE(at + 4) === second

  add(0, 24)
  if (!agrees(24)) return log.length > HEADER_BYTES
  let isIntact = true
  for (let at = HEADER_BYTES; at + frameBytes <= log.length; at += frameBytes) {
    // Frames of an earlier round have other salts.
    const isOfThisRound = log.compare(log, 16, 24, at + 8, at + 16) === 0
    if (isIntact && isOfThisRound) {
      add(at, at + 8)
      add(at + FRAME_HEADER_BYTES, at + frameBytes)
    }
    isIntact &&= isOfThisRound && agrees(at + 16)
    const endsTransaction = log.readUInt32BE(at + 4) !== 0
    if (!isIntact && isOfThisRound && endsTransaction) return true
  }
  return false
}
