import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import wabt from 'wabt'
import { MARKED_BYTES_MAX, mark, markBy, marks } from '../src/marks.ts'
import { alertLines } from './support/fixtures.ts'
import { generator, SEED } from './support/random.ts'

const expected = (line: Buffer) =>
  [...line.entries()]
    .filter(([, byte]) => byte === 0x22 || byte === 0x5c || byte < 0x20)
    .map(([offset]) => offset)

function marked(line: Buffer): number[] {
  const padded = Buffer.concat([Buffer.from('""'), line, Buffer.from('"')])
  const count = mark(padded, 2, 2 + line.length)
  // Up to 15 bytes of an earlier line may have been looked at as well.
  return [...marks.subarray(0, count)].filter((offset) => offset < line.length)
}

it('is what marks.wat says', async () => {
  const { parseWat } = await wabt()
  const text = readFileSync(new URL('../src/marks.wat', import.meta.url), 'utf8')
  const { buffer } = parseWat('marks.wat', text, { simd: true }).toBinary({})
  const source = readFileSync(new URL('../src/marks.ts', import.meta.url), 'utf8')
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

  it(`has room for a line of nothing but quotes, and looks at no longer one, by ${way}`, () => {
    markBy(way)
    expect(marked(Buffer.alloc(MARKED_BYTES_MAX, '"'))).toHaveLength(MARKED_BYTES_MAX)
    expect(marked(Buffer.alloc(MARKED_BYTES_MAX + 1, '"'))).toEqual([])
  })
}
