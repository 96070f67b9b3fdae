// The scanner against JSON.parse: what it accepts, JSON.parse accepts, and finds the same in it.
// SCAN_INPUTS=5000000 for a long run.

import { describe, expect, it } from 'vitest'
import { markBy } from '../src/marks.ts'
import {
  type Found,
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
} from '../src/scan.ts'
import { alertLines, fixture, linesOf } from './support/fixtures.ts'
import { generator, SEED } from './support/random.ts'

const INPUTS = Number(process.env.SCAN_INPUTS ?? 200_000)
const found: Found = { starts: new Int32Array(SLOTS), ends: new Int32Array(SLOTS) }

type Parsed = Record<string, unknown> & { output_fields?: Record<string, unknown> }

const at = (slot: number, bytes: Buffer): unknown =>
  found.starts[slot]! < 0
    ? undefined
    : JSON.parse(bytes.toString('utf8', found.starts[slot], found.ends[slot]))

/** Undefined where they agree, or what JSON.parse says against the scanner. `pad` stands around it. */
function disagreement(line: Buffer, pad: string): string | undefined {
  const bytes = Buffer.concat([Buffer.from(pad), line, Buffer.from(pad)])
  const [start, end] = [pad.length, pad.length + line.length]
  if (!scan(bytes, start, end, found)) return undefined
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
  ]
  for (const [slot, value] of pairs)
    if (JSON.stringify(at(slot, bytes)) !== JSON.stringify(value)) return `slot ${slot}`
  for (const [slot, value] of [
    [NAMESPACE, own(known, 'k8s.ns.name')],
    [POD, own(known, 'k8s.pod.name')],
  ] as const) {
    const stands = found.starts[slot]! >= 0
    if (stands !== (value !== undefined)) return `slot ${slot}`
    // Of an object or array only that it is one.
    if (typeof value !== 'object' || value === null)
      if (at(slot, bytes) !== value) return `slot ${slot}`
  }
  return undefined
}

const accepts = (text: string) => scan(Buffer.from(text), 0, Buffer.byteLength(text), found)

it('accepts every real alert, and finds what JSON.parse finds', () => {
  for (const line of alertLines()) {
    expect(scan(line, 0, line.length, found)).toBe(true)
    expect(disagreement(line, '\n')).toBeUndefined()
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
    expect([text, disagreement(Buffer.from(text), ' ')]).toEqual([text, undefined])
  }
})

it('reads nothing behind the end', () => {
  const text = Buffer.from('{"a":"b"}  "}')
  for (let end = 0; end < 9; end++) expect(scan(text, 0, end, found)).toBe(false)
  expect(scan(text, 0, 9, found)).toBe(true)
  expect(scan(text, 0, 11, found)).toBe(true)
  expect(scan(text, 0, 13, found)).toBe(false)
})

it(`agrees with JSON.parse on ${INPUTS} inputs, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const random = generator(SEED)
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!
  const seeds = [...alertLines(), ...linesOf(fixture('stdout-mixed.log'))].filter(
    ({ length }) => length < 1500,
  )
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
  let accepted = 0
  markBy('JavaScript')
  for (let n = 0; n < INPUTS; n++) {
    if (n === Math.floor(INPUTS / 2)) markBy('WebAssembly')
    let line: Buffer
    const way = random(4)
    if (way === 0) line = Buffer.from(value(0))
    else if (way === 1) line = Buffer.concat(Array.from({ length: random(12) }, () => pick(PARTS)))
    else {
      line = Buffer.from(way === 2 ? pick(seeds) : Buffer.from(value(0)))
      for (let changes = random(3); changes >= 0; changes--) {
        const where = random(line.length + 1)
        const rest = line.subarray(where + random(3))
        line = Buffer.concat([line.subarray(0, where), pick(PARTS), rest])
      }
    }
    const said = disagreement(line, pick(['\n', ' ', '}', '"', '0']))
    if (said !== undefined) expect([said, line.toString('latin1')]).toBeUndefined()
    if (scan(line, 0, line.length, found)) accepted++
  }
  expect(accepted).toBeGreaterThan(INPUTS / 50)
})
