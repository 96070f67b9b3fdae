// The rows of the spool as a queue, on a disk that may fail: no access throws. A row in flight stays in the
// file until it is released.

import type { Clock } from '../../../shared/clock.ts'
import { messageOf } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import type { Counters } from '../../accounting/counters.ts'
import type { Batch } from '../../encoding/batch.ts'
import { linesOf } from '../../encoding/messages.ts'
import { damage, isDamaged } from './database.ts'
import type { Row, SpooledBatch } from './row.ts'
import type { Spool } from './spool.ts'

/** How often an access that failed is tried again. */
const RETRY_MS = 5_000

/** The log messages for when an access fails, and when it succeeds again. */
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

/** `stopBytes` are kept free until the end, as far as the limit allows. */
export function createDisk(
  spool: Spool | undefined,
  stopBytes: number,
  inFlight: readonly { row: Row | undefined }[],
  counters: Counters,
  log: Logger,
  clock: Clock,
) {
  let reserved = Math.min(stopBytes, (spool?.limitBytes ?? 0) / 2)
  /** The last row in flight: those behind it wait. */
  let takenId = 0
  /** When to try again what has failed. */
  const retryAt: { [access in Access]?: number } = {}
  let damagedBefore = { rows: 0, alerts: 0 }
  countAlerts()
  counters.restored = counters.spooled + counters.unreadable

  const isDue = (access: Access) => clock.now() >= (retryAt[access] ?? 0)
  const waiting = () => (spool ? spool.rows() - inFlight.filter(({ row }) => row).length : 0)

  /** Undefined: the disk fails. `proves`: that this access works again. */
  function attempt<T>(access: Access, step: (spool: Spool) => T, proves = true): T | undefined {
    // A delivered row is subtracted at once, whether or not the disk removes it.
    if (!spool || (access !== 'remove' && !isDue(access))) return undefined
    try {
      const result = step(spool)
      if (proves && retryAt[access] !== undefined) {
        delete retryAt[access]
        log.info(MESSAGES[access][1])
      }
      return result
    } catch (error) {
      counters.spoolErrors++
      const failure = isDamaged(error) ? spool.readFailure() : error
      if (failure === undefined) giveUp(messageOf(error))
      else {
        const reason = messageOf(failure)
        if (retryAt[access] === undefined) log.error({ reason }, MESSAGES[access][0])
        retryAt[access] = clock.now() + RETRY_MS
      }
      return undefined
    } finally {
      countAlerts()
    }
  }

  /** The file is damaged; what is in flight is in memory, too. */
  function giveUp(reason: string): void {
    countAlerts()
    let alerts = spool!.alerts()
    for (const flight of inFlight) {
      alerts -= flight.row?.alerts ?? 0
      flight.row = undefined
    }
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

  function countAlerts(): void {
    counters.spooled = spool?.alerts() ?? 0
    const { rows, alerts } = spool?.damaged() ?? damagedBefore
    if (rows === damagedBefore.rows) return
    if (damagedBefore.rows === 0) {
      const advice = `sqlite3 ${spool!.path} 'select lines from damaged', after a stop, shows them; check the disk`
      log.error({ rows, alerts }, `the spool has damaged rows, which are kept aside: ${advice}`)
    }
    counters.unreadable += alerts - damagedBefore.alerts
    damagedBefore = { rows, alerts }
  }

  return {
    /** Rows that are not in flight. */
    waiting,
    /** Whether new alerts wait behind rows. While these cannot be read, memory goes first. */
    isDraining: () => waiting() > 0 && retryAt.read === undefined,
    bytes: () => spool?.bytes() ?? 0,
    isWritable: () => spool !== undefined && isDue('write'),
    /** A row of fewer bytes has room; none while the disk fails. */
    room: () => (attempt('write', (spool) => spool.room(), false) ?? 0) - reserved,
    append(batch: Batch, isInFlight = false): Row | undefined {
      const { count, leastSevere } = batch
      const row = attempt('write', (spool) => spool.append(linesOf(batch), count, leastSevere))
      if (row && isInFlight) takenId = row.id
      return row
    },
    /** The oldest row that waits. */
    take(): SpooledBatch | undefined {
      if (waiting() === 0) return undefined
      const found = attempt('read', (spool) => {
        const next = spool.after(takenId)
        if (!next && waiting() > 0) throw damage('rows have vanished')
        return next
      })
      takenId = found?.id ?? takenId
      return found
    },
    /** A row that was taken is delivered. */
    release: (row: Row) => attempt('remove', (spool) => spool.release(row)),
    /** Any other access. */
    change: <T>(step: (spool: Spool, takenId: number) => T) =>
      attempt('write', (spool) => step(spool, takenId), false),
    /** The process is about to end: frees the reserve, and lets failed accesses be tried at once. */
    useReserve(): void {
      reserved = 0
      for (const access in retryAt) retryAt[access as Access] = 0
    },
    close,
  }
}
