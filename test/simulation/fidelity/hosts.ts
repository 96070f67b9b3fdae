// Processes in which falco-nats lives (host.ts). One is used again for the next life, unless it is killed.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { tempDir } from '../../support/temp.ts'
import type { LogLine } from '../life-log.ts'
import type { Books, LifeSeen } from './ground.ts'
import type { FromHost, ToHost } from './host.ts'

const HOST = new URL('./host.ts', import.meta.url)

export interface RealLife extends LifeSeen {
  stop(): void
  kill(): void
}

export type Hosts = ReturnType<typeof createHosts>

export function createHosts() {
  // Most of a start is compiling.
  const cache = tempDir()
  const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache.path }
  const idle: ChildProcess[] = []
  const all = new Set<ChildProcess>()

  function begin(): ChildProcess {
    const child = fork(HOST, { env, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    all.add(child)
    child.once('exit', () => all.delete(child))
    return child
  }

  return {
    start(argv: readonly string[]): RealLife {
      const child = idle.pop() ?? begin()
      const send = (message: ToHost) => child.send(message)
      const log: LogLine[] = []
      let books: Books | undefined
      let end: ReturnType<LifeSeen['end']>
      const failed = (error: string) => {
        throw new Error(error)
      }
      let trouble: string | undefined
      const onMessage = (message: FromHost) => {
        if ('line' in message) log.push(message.line)
        else if ('books' in message) books = message.books
        else if ('error' in message) trouble = message.error
        else {
          end = message.code === 0 ? 'exit 0' : 'exit 1'
          child.off('message', onMessage).off('exit', onExit)
          idle.push(child)
        }
      }
      const onExit = (code: number | null) => {
        if (code === null) end = 'kill'
        else trouble = `the host exits with ${code}`
      }
      child.on('message', onMessage).on('exit', onExit)
      send({ start: argv })
      return {
        log,
        books: () => (trouble === undefined ? books : failed(trouble)),
        end: () => (trouble === undefined ? end : failed(trouble)),
        stop: () => send('stop'),
        kill: () => void child.kill('SIGKILL'),
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(
        [...all].map(async (child) => {
          const gone = once(child, 'exit')
          child.kill('SIGKILL')
          await gone
        }),
      )
      cache[Symbol.dispose]()
    },
  }
}
