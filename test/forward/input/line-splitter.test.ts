import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLineSplitter } from '../../../src/forward/input/line-splitter.ts'

/** What the splitter makes of chunks, as text; too long lines as `!length:head`. */
function split(chunks: Buffer[], maxBytes = 1000): string[] {
  const seen: string[] = []
  const splitter = createLineSplitter(maxBytes, {
    line: (bytes, start, end) => seen.push(bytes.toString('latin1', start, end)),
    tooLong: (head, length) => seen.push(`!${length}:${head.toString('latin1', 0, 8)}`),
  })
  for (const chunk of chunks) splitter.push(chunk)
  splitter.end()
  return seen
}

const chunked = (bytes: Buffer, size: number) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )

describe('createLineSplitter', () => {
  it.each([
    ['lines', 'a\nbc\n', ['a', 'bc']],
    ['a last line without newline', 'a\nbc', ['a', 'bc']],
    ['empty lines', '\n\na\n', ['', '', 'a']],
    ['a trailing CR, once', 'a\r\nb\r\r\n', ['a', 'b\r']],
    ['a CR inside', 'a\rb\n', ['a\rb']],
    [
      'no other line ends',
      'a\u2028b\u0085c\n',
      [Buffer.from('a\u2028b\u0085c').toString('latin1')],
    ],
    ['nothing', '', []],
  ])('splits %s', (_, text, lines) => {
    expect(split([Buffer.from(text)])).toEqual(lines)
  })

  it('gives the same lines wherever one input is cut', () => {
    const input = Buffer.from('{"a":"Подозрительный"}\r\n\n{"b":"🦅"}\nlast')
    const whole = split([input])
    for (let at = 0; at <= input.length; at++)
      expect(split([input.subarray(0, at), input.subarray(at)])).toEqual(whole)
    expect(split(chunked(input, 1))).toEqual(whole)
  })

  it('gives the same lines for any input in any chunks', () => {
    const byte = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 255 }) },
      { weight: 1, arbitrary: fc.constantFrom(10, 13) },
    )
    const cuts = fc.array(fc.nat(200))
    fc.assert(
      fc.property(
        fc.array(byte, { maxLength: 200 }),
        cuts,
        fc.integer({ min: 1, max: 30 }),
        (bytes, at, max) => {
          const input = Buffer.from(bytes)
          const places = [
            0,
            ...at.filter((n) => n < input.length).sort((a, b) => a - b),
            input.length,
          ]
          const chunks = places.slice(1).map((end, i) => input.subarray(places[i], end))
          expect(split(chunks, max)).toEqual(split([input], max))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('takes a line of exactly the limit, CR not counted, and rejects one byte more', () => {
    for (const size of [1, 7, 1000]) {
      expect(
        split(chunked(Buffer.from(`${'x'.repeat(20)}\r\n${'y'.repeat(21)}\nz\n`), size), 20),
      ).toEqual(['x'.repeat(20), '!21:yyyyyyyy', 'z'])
    }
  })

  it('never holds more than the limit of a line that is too long, and goes on behind it', () => {
    let held = 0
    const seen: [string, number][] = []
    const splitter = createLineSplitter(1000, {
      line: (bytes, start, end) => seen.push([bytes.toString('latin1', start, end), end - start]),
      tooLong: (head, length) => seen.push([head.toString('latin1', 0, 3), length]),
    })
    for (let i = 0; i < 10_000; i++) {
      splitter.push(Buffer.from('0123456789'))
      held = Math.max(held, splitter.held())
    }
    splitter.push(Buffer.from('\nnext\n'))
    expect(seen).toEqual([
      ['012', 100_000],
      ['next', 4],
    ])
    expect(held).toBeLessThanOrEqual(1001)
  })

  it('costs the same per byte for a long line in one-byte reads', () => {
    const cost = (length: number) => {
      const splitter = createLineSplitter(4 * length, { line() {}, tooLong() {} })
      const byte = Buffer.from('x')
      const before = process.cpuUsage()
      for (let i = 0; i < length; i++) splitter.push(byte)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / length
    }
    cost(100_000)
    // Quadratic would be 16 times as much; noise is not.
    expect(cost(1_600_000) / cost(100_000)).toBeLessThan(8)
  })
})
