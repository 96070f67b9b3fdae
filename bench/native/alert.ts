// alert.h for machines without a C compiler.

export const TAIL = 22
const DIGITS = 20
const [PRIME, FNV, MIX] = [0x9e3779b1, 0x01000193, 0x85ebca6b]

export const stamp = (bytes: Buffer, tail: number): number =>
  bytes.write(String(process.hrtime.bigint()).padStart(DIGITS, '0'), tail, 'latin1')

export const stamped = (bytes: Buffer, tail: number): number =>
  Number(bytes.toString('latin1', tail, tail + DIGITS))

export function hash(bytes: Buffer, start: number, end: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const lanes = [1, 2, 3, end - start] as [number, number, number, number]
  let at = start
  for (; at + 16 <= end; at += 16)
    for (let lane = 0; lane < 4; lane++)
      lanes[lane] = Math.imul(lanes[lane]! ^ view.getUint32(at + 4 * lane, true), PRIME)
  for (; at < end; at++) lanes[0] = Math.imul(lanes[0] ^ bytes[at]!, FNV)
  return lanes.reduce((mixed, lane) => Math.imul(mixed ^ lane ^ (lane >>> 15), MIX), 0) >>> 0
}

export const sumOf = (bytes: Buffer, start: number, end: number): bigint =>
  (BigInt(hash(bytes, start, end - TAIL)) << 32n) +
  BigInt(hash(bytes, end - TAIL, end)) * 0x9e3779b97f4a7c15n

export const text = (sum: bigint): string => String(BigInt.asUintN(64, sum))
