import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import pino from 'pino'
import { describe, expect, it } from 'vitest'
import { createCounters, totalDropped } from '../../../src/forward/accounting/counters.ts'
import { createAlertBuffer } from '../../../src/forward/buffer/alert-buffer.ts'
import { openSpool, type Spool } from '../../../src/forward/buffer/spool/spool.ts'
import type { WhenFull } from '../../../src/forward/buffer/when-full.ts'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { payloadAt } from '../../../src/forward/encoding/messages.ts'
import { PIPE_BYTES_MAX } from '../../../src/forward/input/input.ts'
import { type Alert, PRIORITIES } from '../../../src/shared/alert/alert.ts'
import { parseTemplate, subjectOf } from '../../../src/shared/alert/subject.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { generator, SEED } from '../../support/random.ts'
import { tempDir } from '../../support/temp.ts'

const BATCH_BYTES = 4096
const MIB = 1024 * 1024

function setUp({
  bufferBytes = 4 * BATCH_BYTES,
  whenFull = 'block' as WhenFull,
  spool = undefined as Spool | undefined,
  headersFor = undefined as ((alert: Alert) => Buffer) | undefined,
} = {}) {
  const counters = createCounters()
  const pool = createBatchPool(BATCH_BYTES)
  const template = parseTemplate('<priority>.<rule>')
  const subjectFor = (alert: Alert) => subjectOf(template, alert)
  const encoder = createEncoder(subjectFor, headersFor, () => counters.rejected.internal_error++)
  const log = pino({ level: 'silent' })
  const alertBuffer = createAlertBuffer({
    bufferBytes,
    whenFull,
    spool,
    encoder,
    pool,
    counters,
    log,
    clock: systemClock,
  })
  let n = 0
  return {
    alertBuffer,
    counters,
    /** A batch of alerts of these priorities, each about 1 KB, numbered as they come. */
    push(...alerts: (string | Partial<Alert>)[]) {
      const batch = pool.borrow()
      const lines = alerts.map((alert) =>
        JSON.stringify({
          output_fields: { n: n++, x: 'x'.repeat(900) },
          rule: 'r',
          ...(typeof alert === 'string' ? { priority: alert } : alert),
        }),
      )
      encoder.addLines(batch, Buffer.from(`${lines.join('\n')}\n`))
      counters.read += batch.count
      alertBuffer.push(batch)
    },
    /** Takes all that is there: the numbers, and which priorities they have. */
    takeAll() {
      const taken: [n: number, priority: string][] = []
      for (;;) {
        const held = alertBuffer.take()
        if (!held) return taken
        for (let index = 0; index < held.batch.count; index++) {
          const alert = JSON.parse(payloadAt(held.batch, index).toString())
          taken.push([alert.output_fields.n, alert.priority])
        }
        alertBuffer.done()
      }
    },
  }
}

const numbers = (taken: [number, string][]) => taken.map(([n]) => n)
const upTo = (end: number) => Array.from({ length: end }, (_, n) => n)

describe('in memory', () => {
  it('gives batches in order and wants no more when it is full', () => {
    const { alertBuffer, push, takeAll } = setUp()
    for (let n = 0; n < 4; n++) {
      expect(alertBuffer.wants(true)).toBe(true)
      expect(alertBuffer.wants(false)).toBe(false)
      push('Notice', 'Notice', 'Notice')
    }
    expect(alertBuffer.wants(true)).toBe(false)
    expect(numbers(takeAll())).toEqual(upTo(12))
    expect(alertBuffer.isEmpty()).toBe(true)
    expect(alertBuffer.wants(true)).toBe(true)
  })

  it('drops the least severe first, the oldest first among them', () => {
    const { alertBuffer, push, takeAll, counters } = setUp({ whenFull: 'drop' })
    push('Emergency', 'Debug', 'Notice')
    push('Debug', 'Emergency', 'Notice')
    push('Notice', 'Notice', 'Notice')
    push('Emergency', 'Emergency', 'Emergency')
    expect(alertBuffer.wants(true)).toBe(true)
    push('Emergency', 'Warning', 'Debug')
    const left = takeAll()
    expect(
      left.map(([, priority]) => priority).filter((name) => name === 'Emergency'),
    ).toHaveLength(6)
    expect(numbers(left)).toEqual([...numbers(left)].sort((a, b) => a - b))
    expect(counters.dropped[PRIORITIES.indexOf('debug')]).toBeGreaterThan(0)
    expect(left.length + totalDropped(counters)).toBe(counters.read)
  })

  it('takes no batch for which it would drop, while the server keeps up its pace', () => {
    const { alertBuffer, push } = setUp({ whenFull: 'drop' })
    expect(alertBuffer.wants(true, false, false)).toBe(true)
    for (let n = 0; n < 4; n++) push('debug', 'debug', 'debug')
    expect([alertBuffer.wants(true, false, false), alertBuffer.wants(true)]).toEqual([false, true])
  })

  it('never drops an Emergency while a Debug is held', () => {
    const { push, takeAll, counters } = setUp({ whenFull: 'drop' })
    for (let round = 0; round < 50; round++) {
      push('Debug', 'Emergency', 'Informational')
      const [emergency, debug] = [counters.dropped[0]!, counters.dropped[7]!]
      if (emergency > 0) expect(debug).toBe(round + 1)
    }
    const left = takeAll()
    expect(new Set(left.map(([, priority]) => priority))).toEqual(new Set(['Emergency']))
    expect(left.length + totalDropped(counters)).toBe(150)
    // The newest are kept.
    expect(left.at(-1)![0]).toBe(148)
  })

  it('drops warnings and no error with drop-below-error, and then wants no more', () => {
    const { alertBuffer, push, takeAll, counters } = setUp({ whenFull: 'drop-below-error' })
    let pushed = 0
    while (alertBuffer.wants(true) && pushed < 100) {
      push('Error', 'Warning', 'Critical')
      pushed++
    }
    expect(pushed).toBeLessThan(100)
    // Only warnings could make room: all of them have.
    expect(totalDropped(counters)).toBe(pushed)
    expect(counters.dropped[PRIORITIES.indexOf('warning')]).toBe(pushed)
    const left = takeAll().map(([, priority]) => priority)
    expect(left).toEqual(Array.from({ length: pushed }, () => ['Error', 'Critical']).flat())
  })
})

describe('with a spool', () => {
  it('spills what is on its way first, and gives all back in order', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    const { alertBuffer, push, counters } = setUp({ spool })
    for (let n = 0; n < 3; n++) push('Notice', 'Notice')
    alertBuffer.take()
    for (let n = 0; n < 10; n++) push('Notice', 'Notice')
    alertBuffer.spill()
    expect(counters.spooled).toBe(26)
    // As the next start would see it:
    alertBuffer.close()
    using again = await openSpool(dir.path, 8 * MIB)
    const next = setUp({ spool: again })
    expect(next.counters.restored).toBe(26)
    expect(numbers(next.takeAll())).toEqual(upTo(26))
    expect([again.rows(), next.counters.spooled]).toEqual([0, 0])
  })

  it('keeps on disk what comes behind rows, and later what comes in memory', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    const { alertBuffer, push, takeAll } = setUp({ spool })
    push('Notice')
    alertBuffer.take()
    for (let n = 0; n < 9; n++) push('Notice')
    alertBuffer.spill()
    for (let n = 0; n < 3; n++) push('Notice')
    expect(spool.alerts()).toBe(13)
    alertBuffer.done()
    expect(spool.alerts()).toBe(12)
    expect(alertBuffer.isDraining()).toBe(true)
    expect(numbers(takeAll())).toEqual(upTo(13).slice(1))
    expect(alertBuffer.isDraining()).toBe(false)
    push('Notice')
    expect(spool.alerts()).toBe(0)
    expect(numbers(takeAll())).toEqual([13])
  })

  it('is full when both are, and drops in both when told to', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 4 * MIB)
    const { alertBuffer, push, takeAll, counters } = setUp({ spool, whenFull: 'drop' })
    const rounds = 2000
    for (let n = 0; n < rounds; n++) push(n % 4 ? 'Debug' : 'Emergency', 'Notice', 'Notice')
    expect(alertBuffer.wants(true)).toBe(true)
    expect(totalDropped(counters)).toBeGreaterThan(1000)
    const left = takeAll()
    expect(left.filter(([, priority]) => priority === 'Emergency')).toHaveLength(rounds / 4)
    expect(left.filter(([, priority]) => priority === 'Debug').length).toBe(
      (rounds * 3) / 4 - counters.dropped[7]!,
    )
    expect(left.length + totalDropped(counters)).toBe(counters.read)
    expect(numbers(left)).toEqual([...numbers(left)].sort((a, b) => a - b))
  })

  it('takes nothing behind an alert for which the disk has no room', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    const { batchBytes } = createBatchPool(BATCH_BYTES)
    const keptForStop = 4 * BATCH_BYTES + 4 * batchBytes + PIPE_BYTES_MAX
    const almostFull = { room: () => keptForStop + 2 * BATCH_BYTES }
    const { alertBuffer, push } = setUp({ spool: { ...spool, ...almostFull } })
    push('Notice')
    expect(alertBuffer.wants(true)).toBe(true)
    push({ priority: 'Notice', rule: 'x'.repeat(5 * BATCH_BYTES) })
    expect(alertBuffer.wants(true)).toBe(false)
  })

  it('goes on from memory when the disk fails, and counts what a damaged file held', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    let trouble: object | undefined
    const failing = new Proxy(spool, {
      get(target, name: keyof Spool) {
        const value = target[name]
        if (!trouble || !['append', 'after', 'remove'].includes(name as string)) return value
        return () => {
          throw Object.assign(new Error('disk'), trouble)
        }
      },
    })
    const { alertBuffer, push, takeAll, counters } = setUp({ spool: failing })
    push('Notice')
    alertBuffer.spill()
    trouble = { errcode: 13 }
    push('Notice')
    alertBuffer.spill()
    expect(counters.spooled).toBe(1)
    trouble = { errcode: 11 }
    expect(numbers(takeAll())).toEqual([1])
    expect([counters.unreadable, counters.spooled]).toEqual([1, 0])
    push('Notice')
    expect(numbers(takeAll())).toEqual([2])
  })
})

it('goes on behind a line for which something is thrown, from disk and when it sheds', async () => {
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * MIB)
  const line = (n: number, rule: string) =>
    JSON.stringify({ output_fields: { n }, priority: 'Notice', rule })
  spool.append(Buffer.from(`${line(0, 'r')}\n${line(1, 'bad')}\n${line(2, 'r')}\n`), 3, 5)
  let isBroken = true
  const bad = Object.defineProperty({ length: 1 }, 0, {
    get() {
      if (isBroken) throw new Error('broken')
      return 0x20
    },
  }) as unknown as Buffer
  const headersFor = ({ rule }: Alert) => (rule === 'bad' ? bad : Buffer.from(' '))
  const restoring = setUp({ spool, headersFor })
  expect(numbers(restoring.takeAll())).toEqual([0, 2])
  const rejected = { internal_error: 1 }
  expect(restoring.counters).toMatchObject({ restored: 3, unreadable: 0, spooled: 0, rejected })

  isBroken = false
  const shedding = setUp({ headersFor, whenFull: 'drop', bufferBytes: 1.5 * BATCH_BYTES })
  shedding.push({ priority: 'Notice', rule: 'bad' }, 'Notice', 'Debug')
  isBroken = true
  shedding.push('Notice')
  expect(shedding.counters).toMatchObject({ rejected })
  expect(totalDropped(shedding.counters)).toBe(1)
  expect(numbers(shedding.takeAll())).toEqual([1, 3])
})

it('counts no alert twice when the file is given up while a row is let go of', async () => {
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * MIB)
  const failing: Spool = {
    ...spool,
    release(row) {
      spool.release(row)
      throw Object.assign(new Error('disk'), { errcode: 11 })
    },
  }
  const { alertBuffer, push, counters } = setUp({ spool: failing })
  for (let n = 0; n < 3; n++) push('Notice', 'Notice')
  alertBuffer.take()
  alertBuffer.spill()
  alertBuffer.take()
  alertBuffer.done()
  expect(counters).toMatchObject({ read: 6, spooled: 0, unreadable: 2 })
  alertBuffer.done()
  expect(alertBuffer.isEmpty()).toBe(true)
})

it('is done at once with a row in which nothing is an alert, and counts it', async () => {
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * MIB)
  spool.append(Buffer.from('spoiled\nspoiled\n'), 2, 7)
  const { alertBuffer, push, takeAll, counters } = setUp({ spool })
  push('Notice')
  expect(numbers(takeAll())).toEqual([0])
  expect(counters).toMatchObject({ restored: 2, unreadable: 2, spooled: 0 })
  expect(alertBuffer.isEmpty()).toBe(true)
})

describe('a spool with flipped bytes', () => {
  const ROWS = 12
  const PER_ROW = 3
  const FLIPS = Number(process.env.SPOOL_FLIPS ?? 150)

  /** Copies of a spool as it is after a crash, and after a stop. */
  async function spoolFiles(directory: string) {
    using spool = await openSpool(directory, 8 * MIB)
    const { alertBuffer, push } = setUp({ spool })
    push('Notice')
    alertBuffer.take()
    for (let row = 1; row < ROWS; row++) {
      push(...Array(PER_ROW).fill(row % 2 ? 'Notice' : 'Critical'))
      alertBuffer.spill()
    }
    for (const suffix of ['', '-wal'])
      copyFileSync(`${directory}/spool.db${suffix}`, `${directory}/crashed${suffix}`)
    alertBuffer.close()
    copyFileSync(`${directory}/spool.db`, `${directory}/stopped`)
  }

  it(`is drained without a crash, with books that balance (seed ${SEED})`, async () => {
    using dir = tempDir()
    await spoolFiles(dir.path)
    const random = generator(SEED)
    const outcomes: Record<string, number> = {}
    const sent = 1 + (ROWS - 1) * PER_ROW
    for (let flip = 0; flip < FLIPS; flip++) {
      using copy = tempDir()
      const name = random(2) ? 'crashed' : 'stopped'
      const files = ['', '-wal'].filter((suffix) => existsSync(dir.file(name + suffix)))
      for (const suffix of files)
        copyFileSync(dir.file(name + suffix), copy.file(`spool.db${suffix}`))
      const file = copy.file(`spool.db${files[random(files.length)]}`)
      const bytes = readFileSync(file)
      for (let flips = 1 + random(3); flips > 0; flips--) {
        const at = random(bytes.length)
        bytes[at] = random(2) ? bytes[at]! ^ (1 << random(8)) : random(256)
      }
      writeFileSync(file, bytes)
      let outcome = 'drained whole'
      try {
        using spool = await openSpool(copy.path, 8 * MIB)
        const { counters, takeAll, alertBuffer } = setUp({
          spool,
          whenFull: random(2) ? 'drop' : 'block',
        })
        const taken = numbers(takeAll())
        expect(taken.length + counters.unreadable + totalDropped(counters)).toBe(counters.restored)
        expect([counters.spooled, alertBuffer.isEmpty()]).toEqual([0, true])
        for (const count of [counters.restored, counters.unreadable, ...counters.dropped])
          expect(count >= 0 && count <= sent).toBe(true)
        if (spool.movedAside) outcome = 'moved aside'
        else if (counters.unreadable > 0) outcome = 'kept aside'
        else if (spool.cutLog) outcome = 'log cut short'
        if (outcome === 'drained whole') expect(taken.length).toBe(sent)
        expect(new Set(taken).size).toBe(taken.length)
      } catch (error) {
        // Then nothing is spooled in this run, which the log says.
        if ((error as { code?: string }).code !== 'ERR_SQLITE_ERROR') throw error
        outcome = `cannot be used: ${(error as Error).message}`
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
    console.info(outcomes)
    expect(outcomes['drained whole']).toBeGreaterThan(0)
  }, 120_000)
})
