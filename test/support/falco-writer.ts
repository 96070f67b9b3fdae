// A writer that SIGPIPE ends, as it ends Falco without its webserver.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TempDir } from './temp.ts'

export interface FalcoWriterOptions {
  readonly count?: number
  /** Between two alerts, and between open and write. */
  readonly gapUs?: number
  readonly holdUs?: number
  /** Of an alert, at least. */
  readonly bytes?: number
  /** Opens the pipe once. */
  readonly keepAlive?: boolean
}

export interface FalcoWriter extends AsyncDisposable {
  readonly pid: number
  /** How many alerts are whole in the pipe or file. */
  written(): number
  /** `SIGPIPE`, an exit code as text, or undefined while it runs or waits for a reader. */
  ended(): string | undefined
  /** Resolves with how it ended by itself. */
  done(): Promise<string>
}

let program: string | undefined

/** Compiles the writer. Undefined, with the reason printed, without a C compiler. */
export function falcoWriter(dir: TempDir): typeof startWriter | undefined {
  program = dir.file('falco-writer')
  const source = fileURLToPath(new URL('./falco-writer.c', import.meta.url))
  try {
    execFileSync('cc', ['-O1', '-o', program, source], { stdio: 'pipe' })
    return startWriter
  } catch (error) {
    console.info(`skipped, no program can be compiled here: ${(error as Error).message.trim()}`)
    return undefined
  }
}

function startWriter(
  dir: TempDir,
  path: string,
  { count = 1e9, gapUs = 0, holdUs = 0, bytes = 1000, keepAlive = false }: FalcoWriterOptions = {},
): FalcoWriter {
  const file = dir.file('written')
  const numbers = [count, gapUs, holdUs, bytes, keepAlive ? 1 : 0].map(String)
  const child = spawn(program!, [path, ...numbers, file], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = () => child.signalCode ?? child.exitCode?.toString()
  const exited = once(child, 'exit')
  return {
    pid: child.pid!,
    written: () => {
      const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
      return bytes.length < 8 ? 0 : Number(bytes.readBigInt64LE())
    },
    ended,
    done: async () => {
      await exited
      return ended()!
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
