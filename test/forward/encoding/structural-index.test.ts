import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import wabt from 'wabt'
import {
  line as copy,
  MARKED_BYTES_MAX,
  mark,
  markBy,
  marks,
} from '../../../src/forward/encoding/structural-index.ts'
import { alertLines } from '../../support/fixtures.ts'
import { generator, SEED } from '../../support/random.ts'

const expected = (line: Buffer) =>
  [...line.entries()]
    .filter(([, byte]) => byte === 0x22 || byte === 0x5c || byte < 0x20)
    .map(([offset]) => offset)

function marked(line: Buffer): number[] {
  const padded = Buffer.concat([Buffer.from('""'), line, Buffer.from('"'.repeat(20))])
  const count = mark(padded, 2, 2 + line.length)
  expect(copy.subarray(0, line.length).equals(line)).toBe(true)
  expect(copy.subarray(line.length, line.length + 16)).toEqual(Buffer.alloc(16, 0xff))
  return [...marks.subarray(0, count)]
}

it('is what marks.wat says', async () => {
  const { parseWat } = await wabt()
  const text = readFileSync(
    new URL('../../../src/forward/encoding/structural-index.wat', import.meta.url),
    'utf8',
  )
  const { buffer } = parseWat('marks.wat', text, { simd: true }).toBinary({})
  const source = readFileSync(
    new URL('../../../src/forward/encoding/structural-index.ts', import.meta.url),
    'utf8',
  )
  expect(source).toContain(`'${Buffer.from(buffer).toString('base64')}'`)
})

for (const way of ['JavaScript', 'WebAssembly'] as const) {
  it(`marks quotes, backslashes and control characters, and nothing else, by ${way}`, () => {
    markBy(way)
    for (const line of alertLines()) expect(marked(line)).toEqual(expected(line))
    const random = generator(SEED)
    for (let length = 0; length < 100; length++) {
      const line = Buffer.from(Array.from({ length }, () => random(256)))
      expect(marked(line)).toEqual(expected(line))
    }
    expect(marked(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))).toHaveLength(34)
  })

  it(`marks nothing of a longer line before it, by ${way}`, () => {
    markBy(way)
    for (let length = 0; length < 100; length++) {
      expect(marked(Buffer.alloc(200, '"'))).toHaveLength(200)
      expect(marked(Buffer.alloc(length, 'x'))).toEqual([])
    }
  })

  it(`has room for a line of nothing but quotes, and looks at no longer one, by ${way}`, () => {
    markBy(way)
    expect(marked(Buffer.alloc(MARKED_BYTES_MAX, '"'))).toHaveLength(MARKED_BYTES_MAX)
    expect(mark(Buffer.alloc(MARKED_BYTES_MAX + 1, '"'), 0, MARKED_BYTES_MAX + 1)).toBe(-1)
  })
}
