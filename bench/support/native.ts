// The programs at both ends of a trial: in C, so that they are never what is measured.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { tempDir } from '../../test/support/temp.ts'

export type Mode = 'burst' | 'bytes' | 'reopen' | `${'rate' | 'reopen'}:${number}`

export interface Written {
  readonly count: number
  readonly sum: string
  /** On the clock of `process.hrtime`. */
  readonly startNs: number
  readonly endNs: number
}

export interface Delivered {
  readonly count: number
  readonly sum: string
  readonly firstNs: number
  readonly lastNs: number
  /** Microseconds from the write to the subscriber: p50, p90, p99, longest. */
  readonly latencies: readonly [number, number, number, number]
}

/** So long a subscriber waits for the next alert before it calls the rest lost. */
const SILENCE_SECONDS = 15

const directory = tempDir()
process.on('exit', () => directory[Symbol.dispose]())
const commands = new Map<string, string[]>()
const hasCompiler = spawnSync('cc', ['--version']).status === 0
/** Says what the figures rest on. */
export const WRITTEN_IN = hasCompiler
  ? 'C'
  : 'TypeScript, for want of cc: slower than what it measures'

/** Compiles it when it is first asked for. */
function native(name: 'writer' | 'subscriber'): string[] {
  let command = commands.get(name)
  if (command) return command
  const source = new URL(`../native/${name}`, import.meta.url).pathname
  command = hasCompiler ? [directory.file(name)] : [process.execPath, `${source}.ts`]
  if (hasCompiler)
    execFileSync('cc', ['-O2', '-o', command[0]!, `${source}.c`], { stdio: 'inherit' })
  commands.set(name, command)
  return command
}

/** Writes `count` alerts, those of `file` over and over. */
export async function write(
  pipe: string,
  file: string,
  count: number,
  mode: Mode,
  signal?: AbortSignal,
): Promise<Written> {
  return (await lastLine(start('writer', [pipe, file, String(count), mode], signal))) as Written
}

/** Resolves when it is subscribed, with what will have been delivered in the end. */
export async function subscribe(port: number, subject: string, count: number) {
  const args = [String(port), subject, String(count), String(SILENCE_SECONDS)]
  const child = start('subscriber', args)
  const delivered = lastLine(child) as Promise<Delivered>
  delivered.catch(() => {})
  await Promise.race([once(child.stdout, 'data'), delivered])
  return { delivered, kill: () => child.kill('SIGKILL') }
}

function start(name: 'writer' | 'subscriber', args: string[], signal?: AbortSignal) {
  const [program, ...before] = native(name)
  return spawn(program!, [...before, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(signal && { signal, killSignal: 'SIGKILL' }),
  })
}

async function lastLine(child: ReturnType<typeof start>): Promise<unknown> {
  let last = ''
  createInterface(child.stdout).on('line', (line) => {
    last = line
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}`)
  return JSON.parse(last)
}
