// What was read and is not on its way yet, in order: the spool first, if there is one, then memory.
//
//   take ◀── spool: rows on disk ◀──spill── memory: batches ◀── push
//            (--spool-dir, --spool-bytes)   (--buffer-bytes)
//
// While the server confirms, nothing is spilled. When it has not for a second, or memory is full,
// memory goes to disk, oldest first, and so does what comes until all on disk is on its way again.
// When both are full, reading stops or alerts are shed.

import type { Logger } from '../../shared/log.ts'
import type { Counters } from '../accounting/counters.ts'
import { type Batch, type BatchPool, compactCopy, heldBytes, linesOf } from '../encoding/batch.ts'
import type { Encoder } from '../encoding/encoder.ts'
import { PIPE_BYTES_MAX } from '../input/fifo.ts'
import { damage } from './spool/database.ts'
import { createDisk } from './spool/disk.ts'
import type { Row, Spool, SpooledBatch } from './spool/spool.ts'

/** A batch, and its row when it is in the spool as well. */
export interface Held {
  readonly batch: Batch
  row?: Row
}

export interface AlertBufferOptions {
  readonly bufferBytes: number
  readonly whenFull: 'block' | 'drop'
  readonly spool: Spool | undefined
  readonly encoder: Encoder
  readonly pool: BatchPool
  readonly counters: Counters
  readonly log: Logger
}

export type AlertBuffer = ReturnType<typeof createAlertBuffer>

/** While spilling, what has come is taken this often although it is no full batch. */
const SPILL_INTERVAL_MS = 200

export function createAlertBuffer(options: AlertBufferOptions) {
  const { bufferBytes, whenFull, encoder, pool, counters, log } = options
  //  oldest                                                        newest
  //  inFlight (some are rows as well) │ waiting rows │ memory │ batcher
  const inFlight: Held[] = []
  let takenRow = 0
  const memory: Batch[] = []
  let memoryBytes = 0
  let stalled = false
  let pushedAt = 0
  const disk = createDisk(options.spool, counters, log, forgetRows)
  counters.restored = counters.spooled + counters.unreadable

  // Kept free on the disk until the end, so that a stop can leave there what is in memory and in the pipe.
  const stopBytes = bufferBytes + 4 * pool.batchBytes + PIPE_BYTES_MAX
  const reserved = Math.min(stopBytes, disk.limitBytes / 2)
  const memoryHasRoom = () => memoryBytes + pool.batchBytes <= bufferBytes
  const spoolHasRoom = () => disk.hasRoom(pool.batchBytes + reserved)
  const waitingRows = () => disk.rows() - inFlight.filter(({ row }) => row !== undefined).length
  /** Whether what comes now has to wait for rows. While they cannot be read, it goes first. */
  const isDraining = () => waitingRows() > 0 && !disk.isUnreadable()

  /** The file is lost. Gives how many alerts of its rows are on their way, and so in memory. */
  function forgetRows(): number {
    let alerts = 0
    for (const held of inFlight) {
      alerts += held.row?.alerts ?? 0
      delete held.row
    }
    return alerts
  }

  function store(batch: Batch): Row | undefined {
    const { count, leastSevere } = batch
    return disk.append((spool) => spool.append(linesOf(batch), count, leastSevere))
  }

  /** Older than what waits is what is on its way: its rows must come first. */
  function storeOnTheirWay(): boolean {
    for (const held of inFlight) {
      held.row ??= store(held.batch)!
      if (held.row === undefined) return false
      takenRow = Math.max(takenRow, held.row.id)
    }
    return true
  }

  function spillOldest(keepFree = reserved): boolean {
    const oldest = memory[0]
    if (!oldest || !disk.hasRoom(oldest.used + keepFree)) return false
    // What is on its way went ahead of rows that could not be read: they would be taken for older.
    if (waitingRows() === 0 && !storeOnTheirWay()) return false
    if (store(oldest) === undefined) return false
    forget(memory.shift()!)
    return true
  }

  function forget(batch: Batch): void {
    memoryBytes -= heldBytes(batch)
    pool.giveBack(batch)
  }

  /** Sheds the least severe alerts, oldest first, of one row or batch. False: nothing is left. */
  function shedSome(): boolean {
    const inMemory = memory.reduce((least, { leastSevere }) => Math.max(least, leastSevere), -1)
    const inSpool = disk.change((spool) => spool.leastSevereAfter(takenRow)) ?? -1
    if (inSpool >= Math.max(inMemory, 0) && shedRow(inSpool)) return true
    if (inMemory < 0) return false
    shedInMemory(inMemory)
    return true
  }

  function shedRow(severity: number): boolean {
    const shed = disk.change((spool) => {
      const row = spool.oldestWith(severity, takenRow)
      if (!row) return false
      const left = pool.borrow()
      const shed = addAllBut(severity, left, row.lines, row.alerts)
      if (left.count > 0) spool.replace(row, linesOf(left), left.count, left.leastSevere)
      else spool.remove(row)
      counters.dropped[severity]! += shed
      pool.giveBack(left)
      return true
    })
    return shed ?? false
  }

  /** Gives how many are shed by that; it counts those that cannot be read, and those that fail. */
  function addAllBut(severity: number, left: Batch, lines: Buffer, alerts: number): number {
    const failedBefore = counters.rejected.internal_error
    const unreadable = encoder.addLines(left, lines, severity)
    counters.unreadable += unreadable
    return alerts - left.count - unreadable - (counters.rejected.internal_error - failedBefore)
  }

  function shedInMemory(severity: number): void {
    const index = memory.findIndex(({ leastSevere }) => leastSevere === severity)
    const shed = memory[index]!
    const left = pool.borrow()
    counters.dropped[severity]! += addAllBut(severity, left, linesOf(shed), shed.count)
    const kept = left.count > 0 ? [compactCopy(left)] : []
    for (const batch of kept) memoryBytes += heldBytes(batch)
    memory.splice(index, 1, ...kept)
    pool.giveBack(left)
    forget(shed)
  }

  return {
    /** Taken and not yet done, in order. */
    inFlight: inFlight as readonly Held[],

    isDraining,

    isEmpty: () => memory.length === 0 && !isDraining(),

    /** Whether a batch, full or not, is to be taken from the batcher now, to be held. */
    wants(full: boolean): boolean {
      if (!memoryHasRoom() && !spoolHasRoom() && whenFull === 'block') return false
      const spilling = (stalled || isDraining()) && disk.isWritable()
      return full || (spilling && performance.now() - pushedAt > SPILL_INTERVAL_MS)
    },

    push(batch: Batch): void {
      pushedAt = performance.now()
      memory.push(batch)
      memoryBytes += heldBytes(batch)
      const isOver = () => memoryBytes > bufferBytes
      // Behind rows it would wait long in memory, where a crash takes it.
      while ((isOver() || isDraining()) && spillOldest());
      if (whenFull === 'drop') while (isOver() && shedSome()) while (isOver() && spillOldest());
    },

    /** The oldest that is not on its way. It stays in the spool, if it is there, until it is done. */
    take(): Held | undefined {
      const row = waitingRows() > 0 ? disk.read(nextRow) : undefined
      const held = row ? fromRow(row) : fromMemory()
      if (!held) return undefined
      // A row in which nothing can be read any more is done with at once.
      if (held.batch.count === 0) {
        release(inFlight.pop()!)
        return this.take()
      }
      return held
    },

    /** The oldest on its way has arrived. */
    done(): void {
      release(inFlight.shift()!)
    },

    /** The server does not confirm: all to the disk. */
    spill(): void {
      if (waitingRows() > 0 || storeOnTheirWay()) while (spillOldest());
    },

    /** We are about to end: all to the disk, and nothing is kept free. */
    close(): void {
      disk.retryNow()
      if (storeOnTheirWay()) {
        while (spillOldest(0));
        if (whenFull === 'drop') while (memory.length > 0 && shedSome()) while (spillOldest(0));
      }
      disk.close()
    },

    /** In memory alone. */
    bufferAlerts: () =>
      inFlight.reduce((sum, { batch, row }) => sum + (row === undefined ? batch.count : 0), 0) +
      memory.reduce((sum, { count }) => sum + count, 0),

    /** In memory and waiting: what --buffer-bytes limits. */
    bufferBytes: () => memoryBytes,

    spoolBytes: disk.bytes,

    setStalled(value: boolean): void {
      stalled = value
    },
  }

  function release({ batch, row }: Held): void {
    if (row !== undefined) disk.remove((spool) => spool.release(row))
    pool.giveBack(batch)
  }

  function nextRow(spool: Spool): SpooledBatch | undefined {
    const row = spool.after(takenRow)
    if (!row && waitingRows() > 0) throw damage('rows have vanished')
    return row
  }

  function fromRow(row: SpooledBatch): Held {
    const { id, alerts, bytes, lines } = row
    takenRow = id
    const held = setOut({ batch: pool.borrow(), row: { id, alerts, bytes } })
    const unreadable = encoder.addLines(held.batch, lines)
    if (unreadable > 0) disk.change((spool) => spool.keepCopy(row))
    counters.unreadable += unreadable
    return held
  }

  function fromMemory(): Held | undefined {
    // Behind rows nothing is taken: they are older.
    const batch = isDraining() ? undefined : memory.shift()
    if (!batch) return undefined
    memoryBytes -= heldBytes(batch)
    return setOut({ batch })
  }

  function setOut(held: Held): Held {
    inFlight.push(held)
    return held
  }
}
