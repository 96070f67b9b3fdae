import { describe, expect, it } from 'vitest'
import {
  append,
  type Batch,
  createBatchPool,
  heldBytes,
} from '../../../src/forward/encoding/batch.ts'
import type { Kind } from '../../../src/forward/encoding/kind-table.ts'
import {
  compactCopy,
  headersStart,
  linesOf,
  messageAt,
  payloadAt,
  sizeAt,
  subjectAt,
} from '../../../src/forward/encoding/messages.ts'

const HEADERS = 'NATS/1.0\r\nFalco-Rule: r\r\n\r\n'

const kindOf = (severity: number, headers?: string): Kind => ({
  severity,
  protocolPrefix: Buffer.from(headers ? `HPUB falco.a ${headers.length} ` : 'PUB falco.b '),
  headers: headers === undefined ? undefined : Buffer.from(headers),
  report: undefined,
  series: undefined,
})

function add(batch: Batch, line: string, kind = kindOf(5), time = 0): void {
  const bytes = Buffer.from(`before${line}behind`)
  append(batch, { kind, time }, bytes, 'before'.length, bytes.length - 'behind'.length)
}

describe('append', () => {
  it('puts one message behind the other, each as NATS wants it', () => {
    const batch = createBatchPool(64 * 1024).borrow()
    add(batch, '{"a":1}', kindOf(2), 17)
    add(batch, 'x'.repeat(12345), kindOf(6, HEADERS), Number.NaN)
    add(batch, '', kindOf(0), 18)
    const messages = [
      'PUB falco.b 7\r\n{"a":1}\r\n',
      `HPUB falco.a 27 12372\r\n${HEADERS}${'x'.repeat(12345)}\r\n`,
      'PUB falco.b 0\r\n\r\n',
    ]
    const indexes = [0, 1, 2]
    expect(indexes.map((index) => messageAt(batch, index).toString())).toEqual(messages)
    expect(batch.bytes.toString('latin1', 0, batch.used)).toBe(messages.join(''))
    expect(indexes.map((index) => subjectAt(batch, index).toString())).toEqual([
      'falco.b',
      'falco.a',
      'falco.b',
    ])
    expect(indexes.map((index) => sizeAt(batch, index))).toEqual([7, 12372, 0])
    expect(headersStart(batch, 1)).toBe(batch.starts[1]! - HEADERS.length)
    expect(headersStart(batch, 2)).toBe(batch.starts[2])
    expect(payloadAt(batch, 0).toString()).toBe('{"a":1}')
    expect(batch).toMatchObject({ count: 3, longest: 12372, leastSevere: 6 })
    expect([...batch.times.subarray(0, 3)]).toEqual([17, Number.NaN, 18])
    expect(linesOf(batch).toString()).toBe(`{"a":1}\n${'x'.repeat(12345)}\n\n`)
  })

  it.each([0, 1, 9, 10, 99, 100, 9_999, 10_000])('writes the size of %i bytes', (size) => {
    const batch = createBatchPool(64 * 1024).borrow()
    add(batch, 'x'.repeat(size))
    expect(messageAt(batch, 0).toString()).toBe(`PUB falco.b ${size}\r\n${'x'.repeat(size)}\r\n`)
  })

  it('grows for more alerts than it has numbers for, and for one that is larger than it', () => {
    const batch = createBatchPool(4096).borrow()
    const before = heldBytes(batch)
    const texts = Array.from({ length: 100 }, (_, n) => `alert ${n}`)
    texts.push('y'.repeat(100_000), 'last')
    texts.forEach((text, n) => {
      add(batch, text, kindOf(5), n)
    })
    expect(linesOf(batch).toString()).toBe(`${texts.join('\n')}\n`)
    expect([...batch.times.subarray(0, batch.count)]).toEqual([...texts.keys()])
    expect(heldBytes(batch)).toBeGreaterThan(before + 100_000)
  })

  it('leaves a batch as it was when something is thrown on the way', () => {
    const batch = createBatchPool(64 * 1024).borrow()
    add(batch, 'first')
    const headers = {
      length: 8,
      get 3() {
        throw new Error('broken')
      },
    }
    const broken = { ...kindOf(7), headers: headers as unknown as Buffer }
    expect(() => add(batch, 'second', broken)).toThrow('broken')
    expect(batch).toMatchObject({ count: 1, longest: 5, leastSevere: 5 })
    add(batch, 'third')
    expect(linesOf(batch).toString()).toBe('first\nthird\n')
  })
})

describe('createBatchPool', () => {
  it('takes as much memory as it was given for each batch', () => {
    const pool = createBatchPool(64 * 1024)
    expect(heldBytes(pool.borrow())).toBe(64 * 1024)
  })

  it('lends a batch again, empty, but keeps no more than a few, and none that is smaller', () => {
    const pool = createBatchPool(64 * 1024)
    const batches = Array.from({ length: 6 }, () => pool.borrow())
    for (const batch of batches) add(batch, 'x')
    pool.giveBack(compactCopy(batches[0]!))
    for (const batch of batches) pool.giveBack(batch)
    const again = Array.from({ length: 6 }, () => pool.borrow())
    expect(again.filter((batch) => batches.includes(batch))).toHaveLength(4)
    for (const batch of again)
      expect(batch).toMatchObject({ used: 0, count: 0, longest: 0, leastSevere: 0 })
  })
})

describe('compactCopy', () => {
  it('has the same alerts in no more room than they need', () => {
    const batch = createBatchPool(64 * 1024).borrow()
    for (const text of ['a', 'bc', 'def']) add(batch, text, kindOf(3, HEADERS), text.length)
    const copy = compactCopy(batch)
    batch.bytes.fill(0)
    expect(linesOf(copy).toString()).toBe('a\nbc\ndef\n')
    expect([...copy.times]).toEqual([1, 2, 3])
    expect(copy).toMatchObject({ count: 3, longest: 30, leastSevere: 3 })
    expect(heldBytes(copy)).toBe(heldBytes(batch) - batch.bytes.length + copy.used - 16 * (64 - 3))
  })

  it('can be added to', () => {
    const batch = createBatchPool(64 * 1024).borrow()
    add(batch, 'a')
    const copy = compactCopy(batch)
    add(copy, 'b')
    expect(linesOf(copy).toString()).toBe('a\nb\n')
    expect(linesOf(batch).toString()).toBe('a\n')
  })
})
