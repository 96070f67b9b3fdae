// Who is measured: falco-nats as it is built, the floor, and peers from a file.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { freePort } from '../../test/support/nats.ts'

export interface Contender {
  readonly name: string
  /** A command line with {pipe}, {url} and, where it serves something, {port}; `<` may stand before {pipe}. */
  readonly command: string
  /** The scenarios that it is part of; all of those with peers, if not said. */
  readonly scenarios?: readonly string[]
  /** A slow one is given fewer alerts in a burst. */
  readonly burst?: number
}

export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly port: number
  /** Rejects when it ends though nobody asked it to. */
  readonly died: Promise<never>
  /** Asks it to end, and waits. */
  stop(): Promise<void>
}

const pathOf = (name: string) => new URL(`../../${name}`, import.meta.url).pathname
export const BUNDLE = pathOf('dist/falco-nats.js')
const STOP_MS = 15_000

/** What is on by default is on; the port is free, so that two can run. */
export const ours = (more = '', name = 'falco-nats'): Contender => ({
  name,
  command: `${process.execPath} ${BUNDLE} -f {pipe} -s {url} --metrics-address 127.0.0.1:{port} ${more}`,
})

export const FLOOR: Contender = {
  name: 'floor',
  command: `${process.execPath} ${pathOf('bench/programs/floor.cjs')} {pipe} {url}`,
}

export const BARE: Contender = {
  name: 'bare Node',
  command: `${process.execPath} ${pathOf('bench/programs/bare.cjs')}`,
}

export const readPeers = (file: string): Contender[] => JSON.parse(readFileSync(file, 'utf8'))

export async function run(contender: Contender, pipe: string, url: string): Promise<Running> {
  const port = await freePort()
  const values: Record<string, string> = { pipe, url, port: String(port) }
  const command = contender.command.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
  const child = launch(command, 'ignore')
  const exited = once(child, 'exit')
  let stopping = false
  const died = new Promise<never>((_, reject) => {
    exited.then(([code, signal]) => {
      if (!stopping) reject(new Error(`${contender.name} ended with ${code ?? signal}: ${command}`))
    }, reject)
  })
  died.catch(() => {})
  const stop = async (signal: NodeJS.Signals) => {
    stopping = true
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exited
    clearTimeout(timer)
  }
  return {
    pid: child.pid!,
    port,
    died,
    stop: () => stop('SIGTERM'),
    [Symbol.asyncDispose]: () => stop('SIGKILL'),
  }
}

/** A shell, where one is needed, becomes the program, so that the pid is that of the program. */
export function launch(command: string, stdout: 'ignore' | 'pipe'): ChildProcess {
  const [program, ...args] = /[<>"']/.test(command)
    ? ['/bin/sh', '-c', `exec ${command}`]
    : command.trim().split(/ +/)
  return spawn(program!, args, { stdio: ['ignore', stdout, 'ignore'] })
}
