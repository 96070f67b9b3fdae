// Random and mutated lines by the hundred thousand: nothing crashes, every subject is legal, every
// line is accounted for. And hostile fields: none takes much longer than JSON.parse takes for its line.

import { expect, it } from 'vitest'
import { createCounters, held } from '../../src/forward/accounting/counters.ts'
import { createFalcoEvents } from '../../src/forward/accounting/falco-events.ts'
import { createBatcher } from '../../src/forward/buffer/batcher.ts'
import { type Batch, createBatchPool } from '../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../src/forward/encoding/encoder.ts'
import { headersOf } from '../../src/forward/encoding/headers.ts'
import { payloadAt, subjectAt } from '../../src/forward/encoding/messages.ts'
import { parseTemplate, subjectOf } from '../../src/shared/alert/subject.ts'
import { systemClock } from '../../src/shared/clock.ts'
import { createNotifier } from '../../src/shared/notifier.ts'
import { alertLines, fixture, linesOf, realAlertLines } from '../support/fixtures.ts'
import { generator, SEED } from '../support/random.ts'

const LINES = Number(process.env.FUZZ_LINES ?? 120_000)

const NASTY = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ',',
  ':',
  '\r',
  '\0',
  '\x1b',
  '.',
  '*',
  '>',
  ' ',
  '\\u0000',
  '\\ud800',
  '\u2028',
  '\xff',
  '"rule":"',
  '"priority":"',
  '{"',
  '"}',
]

it(`publishes on legal subjects only, ${LINES} lines, seed ${SEED}`, async () => {
  const random = generator(SEED)
  const seeds = [
    ...linesOf(fixture('stdout-mixed.log')),
    ...alertLines(),
    ...realAlertLines(),
  ].filter(({ length }) => length < 1500)

  function mutated(line: Buffer): Buffer {
    const bytes = Buffer.from(line)
    const at = random(bytes.length + 1)
    switch (random(6)) {
      case 0:
        return bytes
      case 1:
        if (bytes.length > 0) bytes[random(bytes.length)] = random(256)
        return bytes
      case 2:
        return Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(NASTY[random(NASTY.length)]!),
          bytes.subarray(at),
        ])
      case 3:
        return bytes.subarray(0, at)
      case 4:
        return Buffer.concat([bytes.subarray(0, at), seeds[random(seeds.length)]!])
      default:
        return Buffer.from(
          JSON.stringify({ priority: randomText(), rule: randomText(), source: randomText() }),
        )
    }
  }

  function randomText(): string {
    const lengths = [1, 3, 30, 300]
    return Array.from({ length: 1 + random(lengths[random(4)]!) }, () =>
      random(3) ? String.fromCharCode(random(0x80)) : String.fromCharCode(random(0x10000)),
    ).join('')
  }

  const template = parseTemplate('falco.<priority>.<rule>.<source>')
  const counters = createCounters()
  const pool = createBatchPool(256 * 1024)
  const intake = createBatcher({
    pool,
    readBytes: 64 * 1024,
    maxLineBytes: 4096,
    minPriority: 7,
    encoder: createEncoder((alert) => subjectOf(template, alert)),
    counters,
    events: undefined,
    stateChanged: createNotifier(),
    clock: systemClock,
    onReject() {},
  })
  const illegal: string[] = []
  const inspect = (batch: Batch) => {
    for (let index = 0; index < batch.count; index++) {
      const subject = subjectAt(batch, index).toString()
      if (!/^falco(\.[a-z0-9_]{1,128}){3}$/.test(subject)) illegal.push(subject)
      if (payloadAt(batch, index).includes(10)) illegal.push('a newline in the payload')
    }
    counters.delivered += batch.count
    pool.giveBack(batch)
  }

  const reading = (async () => {
    for (let n = 0; n < LINES; n++) {
      const line = Buffer.concat([mutated(seeds[random(seeds.length)]!), Buffer.from('\n')])
      const cut = random(line.length)
      for (const chunk of [line.subarray(0, cut), line.subarray(cut)])
        if (!intake.write(chunk)) await intake.room()
    }
    intake.end()
  })()
  for await (const batch of intake.batches({ wants: () => true })) inspect(batch)
  await reading

  expect(illegal).toEqual([])
  expect(held(counters)).toBe(0)
  expect(counters.delivered).toBeGreaterThan(LINES / 4)
  expect(counters.rejected.invalid_json).toBeGreaterThan(LINES / 20)
})

const FIELD_BYTES = 1024 * 1024

/** What a field may be full of. */
const FILLINGS = [
  ...['a', 'A', '_', '.', 'a.', '-1', ' ', '\t', '\0', '{', '}', '{}', '[', ']', '"', '\\', '\\"'],
  ...['1', '(', 'Jan 1 ', 'T00:', '2026-08-03T01:14:29.5', '\u00df', '\u0130', '\u041f', '\u68c0'],
  // Combining marks, among them such as are put in order; Hangul in parts and whole.
  ...['\u0301', '\u0316\u0301', '\u0f71\u0f72\u0f74', '\u302a\u0301\u0316\u031b', '\u0627\u0653'],
  ...['\u1100\u1161\u11a8', '\ud55c', '\ufdfa', '\u2028', '\u202e'],
  ...['\ud800', '\udc00', '\u{1f600}', '\u{1d15e}'],
]

const full = (filling: string, begin = 'a') =>
  begin + filling.repeat(FIELD_BYTES / (Buffer.byteLength(JSON.stringify(filling)) - 2))

/** An alert with such a text in every field that we look at. */
const hostile = (text: () => string) =>
  JSON.stringify({
    priority: text(),
    rule: text(),
    source: text(),
    hostname: text(),
    time: text(),
    tags: [text()],
    output_fields: { 'k8s.ns.name': text(), 'k8s.pod.name': text() },
  })

const ALERT = '"priority":"Notice","rule":"r"'
/** Lines that are more than a field. */
const STRUCTURES: readonly string[] = [
  ...['{}', '{ }', '{"', '[', '{"a":', '"', '}', '""}', '\\"', '\r', '\x01'].flatMap((part) => [
    full(part, ''),
    full(part, '{"a":"x'),
    `${full(part, '{"a":"x')}}`,
  ]),
  ...['""', '"a"', '1', '[]', '[{}]', '{"a":"b"}'].map(
    (tag) => `{${ALERT},"tags":[${full(`${tag},`, '')}1]}`,
  ),
  `{${ALERT},"x":${'['.repeat(FIELD_BYTES / 2)}${']'.repeat(FIELD_BYTES / 2)}}`,
  `{${ALERT}${full(' ', '}')}`,
]

/** Of CPU, since what runs beside us must not count. */
function cpuMs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

it(`looks at a hostile line in little more time than JSON.parse, seed ${SEED}`, () => {
  const random = generator(SEED)
  const pool = createBatchPool(16 * FIELD_BYTES)
  const template = parseTemplate('falco.<priority>.<rule>.<source>.<hostname>')
  const intake = createBatcher({
    pool,
    readBytes: 64 * 1024,
    maxLineBytes: 16 * FIELD_BYTES,
    minPriority: 7,
    encoder: createEncoder(
      (alert) => subjectOf(template, alert),
      (alert) => headersOf({ falco: true, added: [] }, alert),
    ),
    counters: createCounters(),
    events: createFalcoEvents(2000),
    stateChanged: createNotifier(),
    clock: systemClock,
    onReject() {},
  })
  const read = (line: Buffer) => {
    intake.write(line)
    const batch = intake.takeRest()
    if (batch) pool.giveBack(batch)
  }
  const parse = (line: Buffer) => {
    try {
      JSON.parse(line.toString())
    } catch {}
  }
  /** Undefined, or how long it took: each time, since what the collector does counts as ours. */
  function tooSlow(text: string): string | undefined {
    const line = Buffer.from(`${text}\n`)
    const took: string[] = []
    for (let tries = 0; tries < 5; tries++) {
      const [ours, theirs] = [cpuMs(() => read(line)), cpuMs(() => parse(line))]
      // 10 ms for each of the eight fields.
      if (ours < 80 + 3 * theirs) return undefined
      took.push(`${ours.toFixed()} ms, JSON.parse ${theirs.toFixed()}`)
    }
    return `${JSON.stringify(text.slice(0, 80))}: ${took.join('; ')}`
  }
  const mixed = () =>
    full([0, 1, 2].map(() => FILLINGS[random(FILLINGS.length)]!.repeat(1 + random(3))).join(''))
  const lines = [
    ...FILLINGS.map((filling) => () => hostile(() => full(filling))),
    ...FILLINGS.slice(0, 10).map(() => () => hostile(mixed)),
    ...STRUCTURES.map((line) => () => line),
  ]
  expect(lines.map((line) => tooSlow(line())).filter(Boolean)).toEqual([])
})
