import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import wabt from 'wabt'
import {
  buildIndex,
  line as copy,
  INDEXED_BYTES_MAX,
  indexBy,
  structuralIndex,
} from '../../../src/forward/encoding/structural-index.ts'
import { alertLines, realAlertLines } from '../../support/fixtures.ts'
import { generator, SEED } from '../../support/random.ts'

const expected = (line: Buffer) =>
  [...line.entries()]
    .filter(([, byte]) => byte === 0x22 || byte === 0x5c || byte < 0x20)
    .map(([offset]) => offset)

function indexOf(line: Buffer): number[] {
  const padded = Buffer.concat([Buffer.from('""'), line, Buffer.from('"'.repeat(20))])
  const count = buildIndex(padded, 2, 2 + line.length)
  expect(copy.subarray(0, line.length).equals(line)).toBe(true)
  expect(copy.subarray(line.length, line.length + 16)).toEqual(Buffer.alloc(16, 0xff))
  return [...structuralIndex.subarray(0, count)]
}

it('is what structural-index.wat says', async () => {
  const { parseWat } = await wabt()
  const text = readFileSync(
    new URL('../../../src/forward/encoding/structural-index.wat', import.meta.url),
    'utf8',
  )
  const { buffer } = parseWat('structural-index.wat', text, { simd: true }).toBinary({})
  const source = readFileSync(
    new URL('../../../src/forward/encoding/structural-index.ts', import.meta.url),
    'utf8',
  )
  expect(source).toContain(`'${Buffer.from(buffer).toString('base64')}'`)
})

for (const way of ['JavaScript', 'WebAssembly'] as const) {
  it(`finds quotes, backslashes and control characters, and nothing else, by ${way}`, () => {
    indexBy(way)
    for (const line of [...alertLines(), ...realAlertLines()])
      expect(indexOf(line)).toEqual(expected(line))
    const random = generator(SEED)
    for (let length = 0; length < 100; length++) {
      const line = Buffer.from(Array.from({ length }, () => random(256)))
      expect(indexOf(line)).toEqual(expected(line))
    }
    expect(indexOf(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))).toHaveLength(34)
  })

  it(`finds nothing of a longer line before it, by ${way}`, () => {
    indexBy(way)
    for (let length = 0; length < 100; length++) {
      expect(indexOf(Buffer.alloc(200, '"'))).toHaveLength(200)
      expect(indexOf(Buffer.alloc(length, 'x'))).toEqual([])
    }
  })

  it(`has room for a line of nothing but quotes, and looks at no longer one, by ${way}`, () => {
    indexBy(way)
    expect(indexOf(Buffer.alloc(INDEXED_BYTES_MAX, '"'))).toHaveLength(INDEXED_BYTES_MAX)
    expect(buildIndex(Buffer.alloc(INDEXED_BYTES_MAX + 1, '"'), 0, INDEXED_BYTES_MAX + 1)).toBe(-1)
  })
}
