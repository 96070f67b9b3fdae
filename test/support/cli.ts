// Runs the real program as a process.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { until } from './wait.ts'

export const MAIN = new URL('../../src/forward/main.ts', import.meta.url).pathname

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [key: string]: unknown
}

export interface Running extends AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams
  stdout(): Buffer
  stderr(): string
  /** The log so far; lines that are not JSON are left out. */
  log(): LogLine[]
  /** Resolves with the first log line whose message contains `text`. */
  logged(text: string, timeoutMs?: number): Promise<LogLine>
  /** Resolves when a line with this message has come for the second time. */
  loggedTwice(message: string): Promise<void>
  /** Resolves when the log gives a reason that matches. */
  loggedReason(reason: RegExp): Promise<void>
  exited(): Promise<number | null>
}

/** Starts `falco-nats` from its sources with a clean environment. */
export function falcoNats(
  args: readonly string[],
  { env = {}, program = [process.execPath, MAIN] }: { env?: object; program?: string[] } = {},
): Running {
  const [command, ...before] = program
  const child = spawn(command!, [...before, ...args], {
    env: {
      PATH: process.env.PATH,
      // Two at a time could not have the same port.
      FALCO_NATS_METRICS_ADDRESS: 'off',
      // Whatever is delivered in the end was delivered in time: the machine may be busy.
      FALCO_NATS_DRAIN_TIMEOUT: '60s',
      ...env,
    },
    stdio: 'pipe',
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk) => out.push(chunk))
  child.stderr.on('data', (chunk) => err.push(chunk))
  child.stdin.on('error', () => {})
  const closed = once(child, 'close').then(([code]) => code as number | null)
  const stderr = () => Buffer.concat(err).toString()
  const log = () =>
    stderr()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine)
  return {
    child,
    stdout: () => Buffer.concat(out),
    stderr,
    log,
    logged: (text, timeoutMs) =>
      until(
        `the log says "${text}"`,
        () => log().find(({ msg }) => msg.includes(text)),
        timeoutMs,
      ).catch((error) => {
        throw new Error(`${error.message}; it says:\n${stderr()}`)
      }),
    async loggedTwice(message) {
      await until(
        `the log says "${message}" twice`,
        () => log().filter(({ msg }) => msg === message).length > 1,
      )
    },
    async loggedReason(pattern) {
      // With several servers, those of one round are in one line.
      const reasons = () => log().flatMap(({ reason }) => String(reason ?? '').split('; '))
      await until(`the log gives the reason ${pattern}`, () =>
        reasons().some((reason) => pattern.test(reason)),
      ).catch((error) => {
        throw new Error(`${error.message}; it says:\n${stderr()}`)
      })
    },
    exited: () => closed,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await closed
    },
  }
}

/** A program for `falcoNats`, in which `code` runs first: faults that no input could cause. */
export const preloaded = (code: string, main: readonly string[] = [MAIN]): string[] => [
  process.execPath,
  '--import',
  `data:text/javascript,${encodeURIComponent(code)}`,
  ...main,
]

/** Runs to the end with `input` on standard input. */
export async function runFalcoNats(
  args: readonly string[],
  options: { env?: object; input?: string | Uint8Array; program?: string[] } = {},
): Promise<{ code: number | null; stdout: Buffer; stderr: string; log: LogLine[] }> {
  await using running = falcoNats(args, options)
  running.child.stdin.end(options.input ?? '')
  const code = await running.exited()
  return { code, stdout: running.stdout(), stderr: running.stderr(), log: running.log() }
}

/** Asks for an orderly stop and gives the last line's sums. */
export async function stopped(running: Running, signal: NodeJS.Signals = 'SIGTERM') {
  // Before that, while its sources are being loaded, a signal just ends it; the bundle hears it.
  await running.logged('reading')
  running.child.kill(signal)
  const code = await running.exited()
  return { code, last: running.log().at(-1)! }
}

/** Memory of a process, in KiB: resident now, or at its highest. */
export const memoryKiB = (pid: number, what: 'VmRSS' | 'VmHWM' = 'VmRSS') =>
  Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
