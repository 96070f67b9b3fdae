// The scanner against JSON.parse: what it accepts, JSON.parse accepts, and finds the same in it, whichever way
// it builds the index and whatever stands around the line. SCAN_INPUTS=5000000 for a long run.

import { describe, expect, it } from 'vitest'
import {
  createFound,
  HOSTNAME,
  NAMESPACE,
  POD,
  PRIORITY,
  RULE,
  SLOTS,
  SOURCE,
  scan,
  TAGS,
  TIME,
  timeOf,
} from '../../../src/forward/encoding/scanner.ts'
import { indexBy } from '../../../src/forward/encoding/structural-index.ts'
import { alertLines, fixture, linesOf, realAlertLines } from '../../support/fixtures.ts'
import { generator, SEED } from '../../support/random.ts'

const INPUTS = Number(process.env.SCAN_INPUTS ?? 100_000)
const WAYS = ['JavaScript', 'WebAssembly'] as const
/** So many inputs are made, then looked at each way. */
const BLOCK = 1000
const found = createFound()

type Parsed = Record<string, unknown> & { output_fields?: Record<string, unknown> }

const at = (slot: number, { bytes, start }: Placed): unknown =>
  found.starts[slot]! < 0
    ? undefined
    : JSON.parse(bytes.toString('utf8', start + found.starts[slot]!, start + found.ends[slot]!))

/** A line as it stands in a buffer, between what is left there of others. */
interface Placed {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

function placed(line: Buffer, before: Buffer = Buffer.from('\n'), behind = before): Placed {
  const start = before.length
  return { bytes: Buffer.concat([before, line, behind]), start, end: start + line.length }
}

/** Undefined where they agree, or what JSON.parse says against the scanner. */
function disagreement(placed: Placed): string | undefined {
  const { bytes, start, end } = placed
  if (!scan(bytes, start, end, found)) return undefined
  for (let slot = 0; slot < SLOTS; slot++)
    if (found.starts[slot]! >= 0 && found.ends[slot]! > end - start)
      return `slot ${slot} is not in the line`
  let parsed: Parsed
  try {
    parsed = JSON.parse(bytes.toString('utf8', start, end))
  } catch (error) {
    return String(error)
  }
  const fields = parsed.output_fields
  const known =
    typeof fields === 'object' && fields !== null && !Array.isArray(fields) ? fields : {}
  const own = (object: object, key: string) =>
    Object.hasOwn(object, key) ? (object as Parsed)[key] : undefined
  const pairs: [slot: number, value: unknown][] = [
    [RULE, own(parsed, 'rule')],
    [PRIORITY, own(parsed, 'priority')],
    [SOURCE, own(parsed, 'source')],
    [HOSTNAME, own(parsed, 'hostname')],
    [TAGS, own(parsed, 'tags')],
    [TIME, own(parsed, 'time')],
    [NAMESPACE, own(known, 'k8s.ns.name')],
    [POD, own(known, 'k8s.pod.name')],
  ]
  for (const [slot, value] of pairs)
    if (JSON.stringify(at(slot, placed)) !== JSON.stringify(value)) return `slot ${slot}`
  return undefined
}

const accepts = (text: string) => scan(Buffer.from(text), 0, Buffer.byteLength(text), found)

it('accepts every real alert, and finds what JSON.parse finds', () => {
  for (const line of [...alertLines(), ...realAlertLines()]) {
    expect(scan(line, 0, line.length, found)).toBe(true)
    expect(disagreement(placed(line))).toBeUndefined()
  }
})

describe.each([
  [
    'is JSON',
    ['{}', ' { } ', '{"a":[]}', '{"a":[1,[2,{"b":{}}],"x"]}', '{"a":-0.5e+10,"b":0,"c":1E5}'],
  ],
  [
    'has every escape',
    ['{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD800"}', '{"\u00e9":"\u2028\u007f"}'],
  ],
  ['has literals and blanks', ['{"a":true,"b":false,"c":null}', '{ "a" :1 , "b":[ ] } ']],
])('what %s', (_, texts) => {
  it.each(texts)('is accepted: %s', (text) => {
    expect(JSON.parse(text)).toBeTypeOf('object')
    expect(accepts(text)).toBe(true)
  })
})

it.each([
  ...[
    '',
    ' ',
    '1',
    '"a"',
    '[]',
    'null',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{,}',
    '{"a":1}}',
  ],
  ...[
    '{"a":1}x',
    '{"a":[1,]}',
    '{"a":[,]}',
    '{"a":[1 2]}',
    '{"a" 1}',
    '{a:1}',
    "{'a':1}",
    '{"a":1 "b":2}',
  ],
  ...[
    '{"a":01}',
    '{"a":-}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":1e}',
    '{"a":+1}',
    '{"a":tru}',
    '{"a":nul}',
  ],
  ...[
    '{"a":"\t"}',
    '{"a":"\\x"}',
    '{"a":"\\u12g4"}',
    '{"a":"',
    '{"a":"\\"}',
    '{"a":[}]}',
    '\ufeff{}',
  ],
])('what is no JSON object is not accepted: %j', (text) => {
  expect(accepts(text)).toBe(false)
})

it('leaves to JSON.parse what could be one of our keys in disguise, what is very deep, and odd blanks', () => {
  expect(accepts('{"a":\t1}')).toBe(false)
  expect(accepts(`{"a":"${'x'.repeat(70_000)}"}`)).toBe(false)
  expect(accepts('{"ru\\u006ce":"r"}')).toBe(false)
  expect(accepts(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`)).toBe(false)
  expect(accepts(`{"a":${'['.repeat(20)}${']'.repeat(20)}}`)).toBe(true)
})

it('takes the last of what stands twice, as JSON.parse does', () => {
  const twice = [
    '{"rule":"a","rule":"b","output_fields":{"k8s.pod.name":"p"},"output_fields":{}}',
    '{"output_fields":{"k8s.ns.name":"n"},"output_fields":null,"tags":["a"],"tags":[]}',
    '{"x":{"rule":"no"},"rule":{"a":1},"priority":[1,[2]],"output_fields":{"x":{"k8s.pod.name":1}}}',
    '{"output_fields":[{"k8s.pod.name":"p"}],"source":null,"time":5}',
    '{"output_fields":{"k8s.pod.name":{"a":[1]},"k8s.ns.name":[]},"hostname":"h"}',
  ]
  for (const text of twice) {
    expect(accepts(text)).toBe(true)
    expect([text, disagreement(placed(Buffer.from(text)))]).toEqual([text, undefined])
  }
})

describe.each(WAYS)('by %s', (way) => {
  it('reads nothing behind the end', () => {
    indexBy(way)
    for (const text of [
      '{"a":"b"}',
      '{"a":[true,null]}',
      '{"a":-1.5e+33}',
      '{"rule":"\\u00e9"}',
      '{"a":{} } ',
    ]) {
      for (const behind of ['"}', '  "', '\\""}', '}}', '11}', 'e}', ',"', '\xff'])
        for (let end = 0; end <= text.length; end++) {
          const { bytes, start } = placed(Buffer.from(text + behind))
          const isWhole = text.slice(0, end).trimEnd() === text.trimEnd()
          expect([text, end, scan(bytes, start, start + end, found)]).toEqual([text, end, isWhole])
        }
    }
  })

  it('accepts no alert that is cut off, wherever, and whatever is left of others behind it', () => {
    indexBy(way)
    const lines = [...alertLines(), ...realAlertLines()].filter(
      (_, index) => (index + SEED) % 5 === 0,
    )
    const [longest] = lines.toSorted((a, b) => b.length - a.length) as [Buffer]
    const carry = Buffer.alloc(longest.length + 64)
    const accepted: string[] = []
    for (const [index, line] of lines.entries())
      for (let end = 0; end < line.length; end++) {
        const other = lines[(index + end) % lines.length]!
        longest.copy(carry)
        other.copy(carry, Math.max(0, end - 64))
        line.copy(carry, 0, 0, end)
        // Behind the first stands the rest of the alert itself.
        if (scan(line, 0, end, found) || scan(carry, 0, end, found))
          accepted.push(line.toString('latin1', 0, end))
      }
    expect(accepted).toEqual([])
  })
})

it(`agrees with JSON.parse on ${INPUTS} inputs, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const random = generator(SEED)
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!
  const seeds = [
    ...alertLines(),
    ...realAlertLines(),
    ...linesOf(fixture('stdout-mixed.log')),
  ].filter(({ length }) => length < 1500)
  const PARTS = [
    ...[
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      ' ',
      '\n',
      '0',
      '-1.5e3',
      'true',
      'null',
      'x',
      '\0',
    ],
    ...[
      '"rule":',
      '"priority":"Notice"',
      '"output_fields":{',
      '"k8s.pod.name":"p"',
      '\\u00',
      '\xff',
    ],
    ...['"tags":["a"]', '"time":null', '"a":', '{}', '[]', '"s"', '\\"', 'e', '.', '\u00e9'],
  ].map((part) => Buffer.from(part, 'latin1'))
  /** Mostly well-formed, so that many are accepted. */
  const value = (depth: number): string => {
    const kind = random(depth > 3 ? 5 : 7)
    if (kind < 2) return JSON.stringify(pick(['', 'a', 'Notice', '\u00e9"\\', '\n', '\ud800']))
    if (kind < 5) return pick(['0', '-12.5', '1e9', 'true', 'false', 'null'])
    if (kind === 5) return `[${members(depth, () => value(depth + 1))}]`
    const names = [
      'rule',
      'priority',
      'output_fields',
      'k8s.pod.name',
      'k8s.ns.name',
      'tags',
      'time',
      'a',
      '',
    ]
    return `{${members(depth, () => `"${pick(names)}"${pick([':', ' :', ': '])}${value(depth + 1)}`)}}`
  }
  const members = (depth: number, member: () => string): string =>
    Array.from({ length: random(depth > 1 ? 3 : 6) }, member).join(pick([',', ' ,', ',\t']))
  const inputOf = (): Buffer => {
    const way = random(5)
    if (way === 0) return Buffer.from(value(0))
    if (way === 1) return Buffer.concat(Array.from({ length: random(12) }, () => pick(PARTS)))
    let line: Buffer = Buffer.from(way === 2 ? pick(seeds) : Buffer.from(value(0)))
    if (way === 4) return line.subarray(0, random(line.length + 1))
    for (let changes = random(3); changes >= 0; changes--) {
      const where = random(line.length + 1)
      const rest = line.subarray(where + random(3))
      line = Buffer.concat([line.subarray(0, where), pick(PARTS), rest])
    }
    return line
  }
  /** What is left in a buffer: of an alert, from anywhere, or anything at all. */
  const stale = (line: Buffer): Buffer => {
    const way = random(4)
    if (way === 0) return Buffer.from(Array.from({ length: random(40) }, () => random(256)))
    if (way === 1) return Buffer.concat(Array.from({ length: random(4) }, () => pick(PARTS)))
    const other = way === 2 ? pick(seeds) : line
    const from = random(other.length + 1)
    return other.subarray(from, from + random(64))
  }
  let accepted = 0
  for (let done = 0; done < INPUTS; done += BLOCK) {
    const block = Array.from({ length: Math.min(BLOCK, INPUTS - done) }, () => {
      const line = inputOf()
      return placed(line, stale(line), stale(line))
    })
    const verdicts = WAYS.map((way) => {
      indexBy(way)
      return block.map((input) => {
        const said = disagreement(input)
        if (said !== undefined) expect([way, said, shown(input)]).toBeUndefined()
        // Alone as well: of what stands around it, nothing may count.
        const { bytes, start, end } = input
        const verdict = scan(bytes, start, end, found)
        const alone = Buffer.from(bytes.subarray(start, end))
        if (scan(alone, 0, alone.length, found) !== verdict)
          expect([way, 'alone', shown(input)]).toBeUndefined()
        return verdict
      })
    }) as [boolean[], boolean[]]
    expect(verdicts[0]).toEqual(verdicts[1])
    accepted += verdicts[0].filter(Boolean).length
  }
  expect(accepted).toBeGreaterThan(INPUTS / 50)
})

const shown = ({ bytes, start, end }: Placed) =>
  [bytes.subarray(0, start), bytes.subarray(start, end), bytes.subarray(end)].map((part) =>
    part.toString('latin1'),
  )

it('reads a time as Date.parse does, and NaN where it is none', () => {
  for (const value of [
    '2026-08-03T01:14:29.502328455Z',
    '2026-08-03T01:14:29+02:00',
    'x',
    '',
    1754183669,
    null,
  ]) {
    const bytes = Buffer.from(`,${JSON.stringify(value)},`)
    const time = typeof value === 'string' ? Date.parse(value) : Number.NaN
    expect([value, timeOf(bytes, 1, bytes.length - 1)]).toEqual([value, time])
  }
  expect(timeOf(Buffer.alloc(0), -1, -1)).toBeNaN()
})
