// What was read and is not on its way yet, in order: the spool first, if there is one, then memory.
//
//   take ◀── spool: rows on disk ◀──spill── memory: batches ◀── push
//            (--spool-dir, --spool-bytes)   (--buffer-bytes)
//
// While the server confirms, nothing is spilled. When it has not for a second, or memory is full,
// memory goes to disk, oldest first, and so does what comes until all on disk is on its way again.
// When both are full, reading stops or alerts are shed.

import { type Batch, type BatchPool, compactCopy, linesOf } from './batch.ts'
import type { Encoder } from './encode.ts'
import { messageOf } from './errors.ts'
import { PIPE_BYTES_MAX } from './fifo.ts'
import type { Logger } from './log.ts'
import { isDamaged, type Spool, type SpooledBatch } from './spool.ts'
import type { Stats } from './stats.ts'

/** A batch, and its row when it is in the spool as well. */
export interface Held {
  readonly batch: Batch
  row?: number
}

export interface BacklogOptions {
  readonly bufferBytes: number
  readonly whenFull: 'block' | 'drop'
  readonly spool: Spool | undefined
  readonly encoder: Encoder
  readonly pool: BatchPool
  readonly stats: Stats
  readonly log: Logger
}

export type Backlog = ReturnType<typeof createBacklog>

/** While spilling, what has come is taken this often although it is no full batch. */
const SPILL_INTERVAL_MS = 200
/** After the disk has failed, it is tried again this often. */
const SPOOL_RETRY_MS = 5_000

export function createBacklog(options: BacklogOptions) {
  const { bufferBytes, whenFull, encoder, pool, stats, log } = options
  let { spool } = options
  //  oldest                                                        newest
  //  onTheirWay (some are rows as well) │ waiting rows │ memory │ intake
  const onTheirWay: Held[] = []
  let waitingRows = spool?.rows() ?? 0
  let takenRow = 0
  const memory: Batch[] = []
  let memoryBytes = 0
  let stalled = false
  let pushedAt = 0
  let spoolRetryAt = 0
  noteSpooled()
  stats.restored = stats.spooled

  const spoolUsable = () => spool !== undefined && performance.now() >= spoolRetryAt
  // Kept free on the disk until the end, so that a stop can leave there what is in memory and in the pipe.
  const stopBytes = bufferBytes + 4 * pool.batchBytes + PIPE_BYTES_MAX
  const reserved = Math.min(stopBytes, (spool?.limitBytes ?? 0) / 2)
  const memoryHasRoom = () => memoryBytes + pool.batchBytes <= bufferBytes
  const spoolHasRoom = () => spoolUsable() && spool!.hasRoom(pool.batchBytes + reserved)

  function noteSpooled(): void {
    stats.spooled = spool?.alerts() ?? 0
  }

  /** Does something on the disk. Undefined when the disk does not go along. */
  function onDisk<T>(step: (spool: Spool) => T): T | undefined {
    if (!spool) return undefined
    try {
      return step(spool)
    } catch (error) {
      stats.spoolErrors++
      if (isDamaged(error)) giveUpSpool(messageOf(error))
      else retryLater(messageOf(error))
      return undefined
    } finally {
      // A row that could not be removed is delivered all the same.
      noteSpooled()
    }
  }

  function retryLater(reason: string): void {
    if (spoolRetryAt === 0)
      log.error({ reason }, 'the spool cannot be written; holding alerts in memory')
    spoolRetryAt = performance.now() + SPOOL_RETRY_MS
  }

  function giveUpSpool(reason: string): void {
    // Those that are on their way are in memory, too.
    const safe = onTheirWay.reduce((sum, { row, batch }) => sum + (row ? batch.count : 0), 0)
    const alerts = spool!.alerts() - safe
    log.error({ reason, alerts }, 'the spool is damaged; the next start moves it aside')
    stats.unreadable += alerts
    for (const held of onTheirWay) delete held.row
    spool![Symbol.dispose]()
    spool = undefined
    waitingRows = 0
    noteSpooled()
  }

  function store(batch: Batch): number | undefined {
    if (!spoolUsable()) return undefined
    const { count, leastSevere } = batch
    const row = onDisk((spool) => spool.append(linesOf(batch), count, leastSevere))
    if (row !== undefined && spoolRetryAt > 0) {
      spoolRetryAt = 0
      log.info('the spool can be written again')
    }
    return row
  }

  /** Older than what waits is what is on its way: its rows must come first. */
  function storeOnTheirWay(): boolean {
    for (const held of onTheirWay) {
      held.row ??= store(held.batch)!
      if (held.row === undefined) return false
      takenRow = Math.max(takenRow, held.row)
    }
    return true
  }

  function spillOldest(keepFree = reserved): boolean {
    const oldest = memory[0]
    if (!oldest || !spool?.hasRoom(oldest.used + keepFree)) return false
    if (!storeOnTheirWay() || store(oldest) === undefined) return false
    waitingRows++
    forget(memory.shift()!)
    return true
  }

  function forget(batch: Batch): void {
    memoryBytes -= batch.bytes.length
    pool.giveBack(batch)
  }

  /** Sheds the least severe alerts, oldest first, of one row or batch. False: nothing is left. */
  function shedSome(): boolean {
    const inMemory = memory.reduce((least, { leastSevere }) => Math.max(least, leastSevere), -1)
    const inSpool = spoolUsable() ? (onDisk((spool) => spool.leastSevereAfter(takenRow)) ?? -1) : -1
    const severity = Math.max(inMemory, inSpool)
    if (severity < 0) return false
    if (inSpool === severity) return shedRow(severity)
    shedInMemory(severity)
    return true
  }

  function shedRow(severity: number): boolean {
    const shed = onDisk((spool) => {
      const row = spool.oldestWith(severity, takenRow)!
      const left = pool.borrow()
      const shed = addAllBut(severity, left, row.lines, row.alerts)
      if (left.count > 0) spool.replace(row.id, linesOf(left), left.count, left.leastSevere)
      else {
        spool.remove(row.id)
        waitingRows--
      }
      stats.dropped[severity]! += shed
      pool.giveBack(left)
      return true
    })
    return shed ?? false
  }

  /** Gives how many are shed by that; a line for which something is thrown is counted already. */
  function addAllBut(severity: number, left: Batch, lines: Buffer, alerts: number): number {
    const failedBefore = stats.rejected.internal_error
    encoder.addLines(left, lines, severity)
    return alerts - left.count - (stats.rejected.internal_error - failedBefore)
  }

  function shedInMemory(severity: number): void {
    const index = memory.findIndex(({ leastSevere }) => leastSevere === severity)
    const shed = memory[index]!
    const left = pool.borrow()
    stats.dropped[severity]! += addAllBut(severity, left, linesOf(shed), shed.count)
    const kept = left.count > 0 ? [compactCopy(left)] : []
    for (const batch of kept) memoryBytes += batch.bytes.length
    memory.splice(index, 1, ...kept)
    pool.giveBack(left)
    forget(shed)
  }

  return {
    /** Taken and not yet done, in order. */
    onTheirWay: onTheirWay as readonly Held[],

    /** Whether what comes now has to wait for rows of the spool. */
    isDraining: () => waitingRows > 0,

    isEmpty: () => memory.length === 0 && waitingRows === 0,

    /** Whether a batch, full or not, is to be taken from the intake now, to be held. */
    wants(full: boolean): boolean {
      if (!memoryHasRoom() && !spoolHasRoom() && whenFull === 'block') return false
      const spilling = (stalled || waitingRows > 0) && spoolUsable()
      return full || (spilling && performance.now() - pushedAt > SPILL_INTERVAL_MS)
    },

    push(batch: Batch): void {
      pushedAt = performance.now()
      memory.push(batch)
      memoryBytes += batch.bytes.length
      const isOver = () => memoryBytes > bufferBytes
      // Behind rows it would wait long in memory, where a crash takes it.
      while ((isOver() || waitingRows > 0) && spillOldest());
      if (whenFull === 'drop') while (isOver() && shedSome()) while (isOver() && spillOldest());
    },

    /** The oldest that is not on its way. It stays in the spool, if it is there, until it is done. */
    take(): Held | undefined {
      const row = waitingRows > 0 ? onDisk((spool) => spool.after(takenRow)) : undefined
      const held = row ? fromRow(row) : fromMemory()
      if (!held) return undefined
      // A row in which nothing can be read any more is done with at once.
      if (held.batch.count === 0) {
        release(held)
        return this.take()
      }
      onTheirWay.push(held)
      return held
    },

    /** The oldest on its way has arrived. */
    done(): void {
      release(onTheirWay[0]!)
      onTheirWay.shift()
    },

    /** The server does not confirm: all to the disk. */
    spill(): void {
      if (spool !== undefined && storeOnTheirWay()) while (spillOldest());
    },

    /** We are about to end: all to the disk, and nothing is kept free. */
    close(): void {
      if (spool === undefined) return
      if (storeOnTheirWay()) {
        while (spillOldest(0));
        if (whenFull === 'drop') while (memory.length > 0 && shedSome()) while (spillOldest(0));
      }
      spool[Symbol.dispose]()
    },

    /** In memory alone. */
    bufferAlerts: () =>
      onTheirWay.reduce((sum, { batch, row }) => sum + (row === undefined ? batch.count : 0), 0) +
      memory.reduce((sum, { count }) => sum + count, 0),

    /** In memory and waiting: what --buffer-bytes limits. */
    bufferBytes: () => memoryBytes,

    spoolBytes: () => spool?.bytes() ?? 0,

    setStalled(value: boolean): void {
      stalled = value
    },
  }

  function release({ batch, row }: Held): void {
    if (row !== undefined) onDisk((spool) => spool.release(row))
    pool.giveBack(batch)
  }

  function fromRow({ id, lines }: SpooledBatch): Held {
    takenRow = id
    waitingRows--
    const batch = pool.borrow()
    stats.unreadable += encoder.addLines(batch, lines)
    return { batch, row: id }
  }

  function fromMemory(): Held | undefined {
    // Behind rows that cannot be read now, nothing is taken: they are older.
    const batch = waitingRows > 0 ? undefined : memory.shift()
    if (!batch) return undefined
    memoryBytes -= batch.bytes.length
    return { batch }
  }
}
