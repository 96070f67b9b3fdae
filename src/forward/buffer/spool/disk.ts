// The spool on a disk that may fail: every access to it goes through here, and none throws.

import { messageOf } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import type { Counters } from '../../accounting/counters.ts'
import { isDamaged } from './database.ts'
import type { Spool } from './spool.ts'

/** After the disk has failed, it is tried again this often. */
const RETRY_MS = 5_000

const MESSAGES = {
  write: [
    'the spool cannot be written; holding alerts in memory',
    'the spool can be written again',
  ],
  read: [
    'the spool cannot be read; its alerts wait, and those in memory go first',
    'the spool can be read again',
  ],
  remove: [
    'the spool does not let go of delivered alerts; the next start may send them again',
    'the spool lets go of delivered alerts again',
  ],
} as const

type Access = keyof typeof MESSAGES

export type Disk = ReturnType<typeof createDisk>

/** `forgetRows` is called when the file is given up: how many alerts of its rows are in memory, too. */
export function createDisk(
  spool: Spool | undefined,
  counters: Counters,
  log: Logger,
  forgetRows: () => number,
) {
  const limitBytes = spool?.limitBytes ?? 0
  /** When to try again what has failed. */
  const retryAt: { [access in Access]?: number } = {}
  const seen = { rows: 0, alerts: 0 }
  note()

  const isDue = (access: Access) => performance.now() >= (retryAt[access] ?? 0)

  /** Gives what the step gives, or undefined when the disk does not go along. */
  function attempt<T>(access: Access, step: (spool: Spool) => T, proves = true): T | undefined {
    // What is delivered is subtracted at once, whether or not the disk lets it go.
    if (!spool || (access !== 'remove' && !isDue(access))) return undefined
    try {
      const result = step(spool)
      if (proves) end(access)
      return result
    } catch (error) {
      counters.spoolErrors++
      const trouble = isDamaged(error) ? spool.readTrouble() : error
      if (trouble === undefined) giveUp(messageOf(error))
      else begin(access, messageOf(trouble))
      return undefined
    } finally {
      note()
    }
  }

  function begin(access: Access, reason: string): void {
    if (retryAt[access] === undefined) log.error({ reason }, MESSAGES[access][0])
    retryAt[access] = performance.now() + RETRY_MS
  }

  function end(access: Access): void {
    if (retryAt[access] === undefined) return
    delete retryAt[access]
    log.info(MESSAGES[access][1])
  }

  function giveUp(reason: string): void {
    note()
    const alerts = spool!.alerts() - forgetRows()
    log.error({ reason, alerts }, 'the spool is damaged; the next start moves it aside')
    counters.unreadable += alerts
    close()
    spool = undefined
  }

  function close(): void {
    try {
      spool?.[Symbol.dispose]()
    } catch (error) {
      counters.spoolErrors++
      log.error({ reason: messageOf(error) }, 'the spool cannot be closed')
    }
  }

  /** Takes over what the spool has counted. */
  function note(): void {
    counters.spooled = spool?.alerts() ?? 0
    if (!spool) return
    const { rows, alerts } = spool.damaged()
    if (rows > seen.rows && seen.rows === 0) {
      const advice = `sqlite3 ${spool.path} 'select lines from damaged', after a stop, shows them; check the disk`
      log.error({ rows, alerts }, `the spool has damaged rows, which are kept aside: ${advice}`)
    }
    counters.unreadable += alerts - seen.alerts
    Object.assign(seen, { rows, alerts })
  }

  return {
    limitBytes,
    rows: () => spool?.rows() ?? 0,
    bytes: () => spool?.bytes() ?? 0,
    isWritable: () => spool !== undefined && isDue('write'),
    /** Whether the last attempt to read a row was in vain. */
    isUnreadable: () => retryAt.read !== undefined,
    hasRoom: (bytes: number) => attempt('write', (spool) => spool.hasRoom(bytes), false) ?? false,
    read: <T>(step: (spool: Spool) => T) => attempt('read', step),
    append: <T>(step: (spool: Spool) => T) => attempt('write', step),
    /** Anything else that changes it. */
    change: <T>(step: (spool: Spool) => T) => attempt('write', step, false),
    remove: (step: (spool: Spool) => void) => attempt('remove', step),
    /** Whatever has failed is tried at once. */
    retryNow(): void {
      for (const access of Object.keys(retryAt) as Access[]) retryAt[access] = 0
    },
    close,
  }
}
