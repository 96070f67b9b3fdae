// A process that is falco-nats, one life after another: forward() in the system's environment. It tells its parent
// what it logs and what its books say.

import { parseCommandLine } from '../../../src/forward/command-line.ts'
import { systemEnvironment } from '../../../src/forward/environment.ts'
import { forward } from '../../../src/forward/forward.ts'
import type { Measured } from '../../../src/forward/telemetry/metrics.ts'
import { createLifeLog, type LogLine } from '../life-log.ts'
import { type Books, booksOf } from './ground.ts'

export type ToHost = { readonly start: readonly string[] } | 'stop'
export type FromHost =
  | { readonly line: LogLine }
  | { readonly books: Books }
  | { readonly code: number }
  | { readonly error: string }

const LOOK_MS = 10
let stop = new AbortController()

const tell = (message: FromHost) => void process.send!(message)

process.on('message', (message: ToHost) => {
  if (message === 'stop') stop.abort()
  else live(message.start).catch((error) => tell({ error: String(error.stack) }))
})

async function live(argv: readonly string[]): Promise<void> {
  const invocation = parseCommandLine(argv, {})
  if (invocation.run !== 'forward') throw new Error(`${argv} do not forward`)
  stop = new AbortController()
  let measure: (() => Measured) | undefined
  let told = ''
  const look = () => {
    if (!measure) return
    const books = booksOf(measure())
    const text = JSON.stringify(books)
    if (text !== told) tell({ books })
    told = text
  }
  const looking = setInterval(look, LOOK_MS)
  const environment = {
    ...systemEnvironment(invocation.config),
    async openTelemetry() {
      return {
        address: '',
        serve(given: () => Measured) {
          measure = given
        },
        async [Symbol.asyncDispose]() {},
      }
    },
    bug(error: unknown): never {
      tell({ error: String((error as Error).stack) })
      throw error
    },
    saveAtBug() {},
  }
  try {
    const log = createLifeLog((line) => tell({ line }))
    const never = new AbortController().signal
    const code = await forward(invocation.config, environment, log, stop.signal, never)
    look()
    tell({ code })
  } finally {
    clearInterval(looking)
  }
}
