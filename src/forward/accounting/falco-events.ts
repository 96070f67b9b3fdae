// Alerts counted by rule, pod and more: the series of `falco_events`, as falco-exporter counted them. Pods come and
// go, and the series of each would stay indefinitely: their number is limited.

import { type Alert, outputField } from '../../shared/alert/alert.ts'

/** The labels of a series. A missing or odd value is the empty text. */
export const EVENT_LABELS = [
  'rule',
  'priority',
  'hostname',
  'source',
  'tags',
  'k8s_ns_name',
  'k8s_pod_name',
] as const

export interface EventSeries {
  /** One for each of EVENT_LABELS. */
  values: readonly string[]
  count: number
  /** Grows from alert to alert. */
  seen: number
  /** The series that it was folded into, once it is. */
  into: EventSeries | undefined
}

/** An alert, or a kind of alerts with equal labels, which keeps its series: only the first is looked up. */
export interface Countable {
  /** Index into PRIORITIES, which is also Falco's number. */
  readonly severity: number
  series: EventSeries | undefined
}

export type FalcoEvents = ReturnType<typeof createFalcoEvents>

const VALUE_LENGTH_MAX = 256
const TAGS_LENGTH_MAX = 1024
/** The share of all series that is folded at once: finding the oldest costs a look at each. */
const FOLDED_SHARE = 1 / 16
/** At most so many are folded in this time: more would be gone before the next scrape. */
const [FOLDED_MAX, FOLDED_WITHIN_MS] = [2_000, 10_000]

/** `seriesMax` is at least 10; Infinity is without limit. */
export function createFalcoEvents(seriesMax: number) {
  const all = createSeriesSet()
  let clock = 0
  let folded = 0
  let foldedSince = performance.now()
  let foldedBefore = 0

  const isRoom = () => all.members.size < seriesMax
  const findOrAdd = (values: readonly string[]) => all.find(values) ?? all.add(values)

  function seriesFor(values: readonly string[]): EventSeries {
    const known = all.find(values)
    if (known || isRoom()) return known ?? all.add(values)
    const now = performance.now()
    if (now - foldedSince > FOLDED_WITHIN_MS) [foldedSince, foldedBefore] = [now, folded]
    if (folded - foldedBefore >= FOLDED_MAX)
      // No more may be folded: the alert counts at once where its series would end.
      for (let less = reduced(values); less; less = reduced(less)) {
        const near = all.find(less)
        if (near) return near
      }
    fold()
    return findOrAdd(values)
  }

  /** Makes room: the least recently seen lose their pod. Where none has one, the namespace, or all. */
  function fold(): void {
    while (!isRoom()) {
      const ranked = Map.groupBy(all.members, ({ values }) => rankOf(values))
      const rank = GIVEN_UP.findIndex((_, rank) => ranked.has(rank))
      const oldest = ranked.get(rank)!.sort((a, b) => a.seen - b.seen)
      for (const series of oldest.slice(0, Math.ceil(seriesMax * FOLDED_SHARE))) {
        all.remove(series)
        const into = findOrAdd(reduced(series.values)!)
        series.into = into
        // A kind may keep it for long.
        series.values = into.values
        into.count += series.count
        into.seen = Math.max(into.seen, series.seen)
        folded++
      }
    }
  }

  return {
    /** Calls `alert` only where the series has to be looked up. */
    count(countable: Countable, alert: () => Alert): void {
      let { series } = countable
      if (series === undefined || series.into !== undefined) {
        // A folded one that comes back must not fold another: with more kinds than series, each alert would.
        if (series === undefined || isRoom())
          series = seriesFor(valuesOf(alert(), countable.severity))
        else while (series.into !== undefined) series = series.into
        countable.series = series
      }
      series.count++
      series.seen = ++clock
    },
    series: () => all.members,
    /** How many series have been folded into others. */
    folded: () => folded,
  }
}

/**
 * Series by a hash of their values. By a text of them they would cost hundreds of megabytes in a flood: V8 keeps
 * each text that is looked up in a Map until a major collection.
 */
function createSeriesSet() {
  const members = new Set<EventSeries>()
  const byHash = new Map<number, EventSeries[]>()
  // Secret, so that an attacker cannot prepare values that share a hash.
  const seed = Math.trunc(Math.random() * 2 ** 32)

  function hashOf(values: readonly string[]): number {
    let hash = seed
    for (let label = 0; label < values.length; label++) {
      const value = values[label]!
      for (let at = 0; at < value.length; at++)
        hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193)
      hash = Math.imul(hash ^ value.length, 0x01000193)
    }
    return hash ^ (hash >>> 15)
  }

  return {
    members: members as ReadonlySet<EventSeries>,
    find: (values: readonly string[]): EventSeries | undefined =>
      byHash.get(hashOf(values))?.find((each) => each.values.every((v, n) => v === values[n])),
    add(values: readonly string[]): EventSeries {
      const series = { values, count: 0, seen: 0, into: undefined }
      members.add(series)
      const hash = hashOf(values)
      byHash.set(hash, [...(byHash.get(hash) ?? []), series])
      return series
    },
    remove(series: EventSeries): void {
      members.delete(series)
      const hash = hashOf(series.values)
      const rest = byHash.get(hash)!.filter((other) => other !== series)
      if (rest.length > 0) byHash.set(hash, rest)
      else byHash.delete(hash)
    },
  }
}

/** One for each of EVENT_LABELS. */
function valuesOf(alert: Alert, severity: number): readonly string[] {
  const { rule, hostname, source, tags } = alert
  const names = Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : []
  return [
    clean(rule),
    String(severity),
    clean(hostname),
    clean(source),
    clean(`,${names.join(',')},`, TAGS_LENGTH_MAX),
    clean(outputField(alert, 'k8s.ns.name')),
    clean(outputField(alert, 'k8s.pod.name')),
  ]
}

/** Returns the value itself where it is short and well-formed: only a hostile one is not. */
function clean(value: unknown, length = VALUE_LENGTH_MAX): string {
  if (typeof value !== 'string') return ''
  if (value.length <= length && value.isWellFormed()) return value
  // Through bytes: a slice would keep the whole of the text in memory.
  return Buffer.from(value.slice(0, length)).toString()
}

/** Labels given up, as indices into EVENT_LABELS: first the pod, then the namespace, at last all but the priority. */
const GIVEN_UP: readonly (readonly number[])[] = [[6], [6, 5], [6, 5, 4, 3, 2, 0]]

/** The first rank with a label to give up; -1: none is left. */
const rankOf = (values: readonly string[]) =>
  GIVEN_UP.findIndex((labels) => labels.some((label) => values[label] !== ''))

/** The values without the labels given up first; undefined where none is left. */
function reduced(values: readonly string[]): readonly string[] | undefined {
  const labels = GIVEN_UP[rankOf(values)]
  return labels && values.map((value, label) => (labels.includes(label) ? '' : value))
}
