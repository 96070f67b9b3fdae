// Random and mutated lines by the hundred thousand: nothing crashes, every subject is legal, every
// line is accounted for.

import { expect, it } from 'vitest'
import { type Batch, createBatchPool, payloadAt } from '../src/batch.ts'
import { createEncoder } from '../src/encode.ts'
import { createIntake } from '../src/intake.ts'
import { createStats, held } from '../src/stats.ts'
import { createSubjects, parseTemplate } from '../src/subject.ts'
import { createWakeup } from '../src/wakeup.ts'
import { fixture, linesOf } from './support/fixtures.ts'
import { generator, SEED } from './support/random.ts'

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
    ...linesOf(fixture('alerts.jsonl')),
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

  const stats = createStats()
  const pool = createBatchPool(256 * 1024)
  const intake = createIntake({
    pool,
    readBytes: 64 * 1024,
    maxLineBytes: 4096,
    minPriority: 7,
    encoder: createEncoder(createSubjects(parseTemplate('falco.<priority>.<rule>.<source>'))),
    stats,
    events: undefined,
    changed: createWakeup(),
    onReject() {},
  })
  const illegal: string[] = []
  const inspect = (batch: Batch) => {
    for (let index = 0; index < batch.count; index++) {
      const subject = batch.kinds[index]!.subject
      if (!/^falco(\.[a-z0-9_]{1,128}){3}$/.test(subject)) illegal.push(subject)
      if (payloadAt(batch, index).includes(10)) illegal.push('a newline in the payload')
    }
    stats.delivered += batch.count
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
  expect(held(stats)).toBe(0)
  expect(stats.delivered).toBeGreaterThan(LINES / 4)
  expect(stats.rejected.invalid_json).toBeGreaterThan(LINES / 20)
}, 120_000)
