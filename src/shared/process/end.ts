// How the process ends: with the rest of its log, even if something blocks; after a bug, with what can be saved.

import { EXIT_BUG, lastWords, messageOf, printable } from '../errors.ts'
import type { Logger } from '../log.ts'
import { standardError } from './output.ts'

/** How long a blocked standard error may take the rest of the log. */
const LOG_GRACE_MS = 500

let save: ((why: string) => void) | undefined
let log: Logger | undefined

/** Ends the process now. */
export function end(code: number): never {
  try {
    standardError().flush(LOG_GRACE_MS)
    // Node waits for each thread of its pool, and a name lookup may take minutes. Only replacing the program
    // ends it at once.
    if (process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap'))
      process.execve?.(process.execPath, [process.execPath, '-e', `process.exit(${code})`], {
        ...process.env,
        NODE_OPTIONS: '',
      })
  } finally {
    process.exit(code)
  }
}

/** From now on an error that nothing catches ends the process by `bug`. */
export function catchBugs(by: Logger): void {
  log = by
  process.on('uncaughtException', bug)
}

/** `step` saves a job's work, synchronously, when a bug ends it; `why` is for its last line. */
export function saveAtBug(step: ((why: string) => void) | undefined): void {
  save = step
}

/** Why a job has ended before its time, for people; gives the exit code. */
export function failed(error: unknown): number {
  const { text, code } = lastWords(error)
  if (code === EXIT_BUG && log !== undefined) bug(error)
  standardError().write(text)
  return code
}

/** The last resort: logs the error, saves alerts, and ends with 70. It waits for nothing: after a bug nothing can be relied on. */
export function bug(error: unknown): never {
  const why = `this is a bug: ${messageOf(error)}`
  try {
    const stack = error instanceof Error ? error.stack?.split('\n').map(printable) : undefined
    log?.fatal({ stack }, why)
  } finally {
    try {
      save?.(why)
    } finally {
      end(EXIT_BUG)
    }
  }
}
