// Faults under load: one writer, which opens the pipe for each alert as Falco does, one process of ours, and a
// server, each a process of its own; and what has come at the end, counted. Short, or long where FAULTS says so.

import { expect } from 'vitest'
import { falcoNats, type LogLine, type Running, stopped as stoppedAtOnce } from './cli.ts'
import { type Received, readStream } from './nats.ts'
import { countNumbered, writePipe } from './pipe.ts'
import { expectBalanced, SCRAPED, scrape, total } from './scrape.ts'
import { type TempDir, tempDir } from './temp.ts'
import { until } from './wait.ts'

export const LONG = process.env.FAULTS === 'long'
/** Each scenario is run by core NATS, and by JetStream where FAULTS_MODE says so. */
export const JETSTREAM = process.env.FAULTS_MODE === 'jetstream'
export const SERVER_CONFIG = JETSTREAM ? 'jetstream { store_dir: "jetstream" }' : ''
const MODE_ARGS = JETSTREAM ? ['--jetstream', '--create-stream', '--stream', 'ALERTS'] : []
export const LOAD = LONG ? 50_000 : 3000
/** Alerts a second: slow enough for a fault to come in the middle. */
export const RATE = LONG ? 2000 : 1000
export const RESTARTS = LONG ? 10 : 3
export const FREEZE_MS = LONG ? 20_000 : 3000
/** How long all of one scenario may take. */
export const TIMEOUT_MS = LONG ? 300_000 : 120_000
export const NONE_LOST = { missing: 0, duplicates: 0, inOrder: true }

export const write = (dir: TempDir, alerts: number | string = LOAD, rate = RATE) =>
  writePipe(
    dir.file('nats'),
    typeof alerts === 'number' ? `numbered:${alerts}` : alerts,
    `falco@${rate}`,
  )

interface Start {
  readonly args?: readonly string[]
  readonly program?: string[]
}

export function start(dir: TempDir, url: string, { args = [], ...options }: Start = {}): Running {
  const base = ['-f', dir.file('nats'), '-s', url, '--spool-dir', dir.file('spool'), ...SCRAPED]
  return falcoNats([...base, ...MODE_ARGS, ...args], options)
}

/** Every scenario ends, at the latest, with books that balance. */
export async function stopped(running: Running) {
  await expectBalanced(running)
  return await stoppedAtOnce(running)
}

/** Counts, and prints one row of the table. */
export function report(scenario: string, messages: readonly Received[], sent: number) {
  const counted = countNumbered(messages, sent)
  const { missing, duplicates, inOrder } = counted
  console.info([scenario, sent, sent - missing, missing, duplicates, inOrder].join(' | '))
  return counted
}

/** Each came, in order, and twice only what was sent again: a busy machine freezes a server for longer than meant. */
export function expectOnce(counted: ReturnType<typeof countNumbered>, { resent }: LogLine) {
  expect(counted).toEqual({ ...NONE_LOST, duplicates: expect.any(Number) })
  expect(counted.duplicates).toBeLessThanOrEqual(resent as number)
}

/** Waits until every number has come at least once. */
export const allHaveCome = (messages: readonly Received[], sent = LOAD) =>
  until(
    'all have come',
    () => messages.length >= sent && countNumbered(messages, sent).missing === 0,
    TIMEOUT_MS,
  )

/** One writer, one process of ours, and a fault after a fifth of the load. */
export async function underLoad(
  scenario: string,
  url: string,
  subscriber: { messages: Received[]; count(count: number): Promise<void> },
  fault: (running: Running) => Promise<void>,
  options: Start & { losing?: boolean; keptAt?: () => string; dir?: TempDir } = {},
) {
  using ownDir = tempDir()
  const dir = options.dir ?? ownDir
  await using running = start(dir, url, options)
  await running.logged('connected')
  // Not under load: the first scrape takes a while, and the fault is to come in the middle.
  await expectBalanced(running)
  await using writing = await write(dir)
  await subscriber.count(LOAD / 5)
  await fault(running)
  await expectBalanced(running)
  expect(await writing.done()).toBe(0)
  if (!options.losing) await allHaveCome(subscriber.messages)
  const { code, last } = await stopped(running)
  expect(code).toBe(0)
  expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
  const messages = options.keptAt ? await readStream(options.keptAt()) : subscriber.messages
  return { log: running.log(), last, ...report(scenario, messages, LOAD) }
}

export const logged = (log: readonly { msg: string }[], text: string) =>
  log.filter(({ msg }) => msg.startsWith(text)).length

export function missingNumbers(messages: readonly Received[], sent = LOAD): number[] {
  const come = new Set(messages.map(numberOf))
  return Array.from({ length: sent }, (_, n) => n).filter((n) => !come.has(n))
}

export const numberOf = ({ data }: { data: Buffer }): number =>
  JSON.parse(String(data)).output_fields.n

export const spooled = async (running: Running) =>
  total(await scrape(running), 'falco_nats_spool_alerts')
