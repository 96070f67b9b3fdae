// How many alerts there were of each kind, with pod and namespace: the series of `falco_events`, as
// falco-exporter counted them. Bounded: pods come and go, and each would stay for ever.

import { type Alert, outputField } from './alert.ts'

/** What tells one series from another. A missing or odd value is the empty text. */
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
  readonly values: readonly string[]
  count: number
  /** Grows from alert to alert. */
  seen: number
  /** Where its count is now, when it is no more. */
  into: EventSeries | undefined
}

/** What an alert says, and where an alert that said the same was counted. */
export interface Countable {
  readonly alert: Alert
  /** Index into PRIORITIES, which is also Falco's number. */
  readonly severity: number
  series: EventSeries | undefined
}

export interface FalcoEvents {
  count(countable: Countable): void
  series(): ReadonlyMap<string, EventSeries>
  /** How many series have been folded into others. */
  folded(): number
}

const VALUE_LENGTH_MAX = 256
const TAGS_LENGTH_MAX = 1024
/** So many are folded at once, as a share of all: finding the oldest costs a look at each. */
const FOLDED_SHARE = 1 / 16

/** At most `seriesMax` series, not fewer than 10; Infinity is without limit. */
export function createFalcoEvents(seriesMax: number): FalcoEvents {
  const all = new Map<string, EventSeries>()
  let clock = 0
  let folded = 0

  function findOrAdd(values: readonly string[]): EventSeries {
    const key = JSON.stringify(values)
    let series = all.get(key)
    if (series) return series
    if (!isRoom()) {
      fold()
      series = all.get(key)
    }
    series ??= { values, count: 0, seen: 0, into: undefined }
    all.set(key, series)
    return series
  }

  // What was folded and comes back must not fold another: with more kinds than series, each alert would.
  const isRoom = () => all.size < seriesMax

  /** Makes room: the least recently seen lose their pod. Where none has one, the namespace, or all. */
  function fold(): void {
    while (!isRoom()) {
      const ranked = Map.groupBy(all.values(), rankOf)
      const rank = GIVEN_UP.findIndex((_, rank) => ranked.has(rank))
      const oldest = ranked.get(rank)!.sort((a, b) => a.seen - b.seen)
      for (const series of oldest.slice(0, Math.ceil(seriesMax * FOLDED_SHARE))) {
        all.delete(JSON.stringify(series.values))
        const into = findOrAdd(
          series.values.map((value, label) => (GIVEN_UP[rank]!.includes(label) ? '' : value)),
        )
        series.into = into
        into.count += series.count
        into.seen = Math.max(into.seen, series.seen)
        folded++
      }
    }
  }

  return {
    count(countable) {
      let { series } = countable
      if (series === undefined || series.into !== undefined) {
        series = isRoom() || series === undefined ? findOrAdd(valuesOf(countable)) : lastOf(series)
        countable.series = series
      }
      series.count++
      series.seen = ++clock
    },
    series: () => all,
    folded: () => folded,
  }
}

function lastOf(series: EventSeries): EventSeries {
  let last = series
  while (last.into !== undefined) last = last.into
  return last
}

function valuesOf({ alert, severity }: Countable): string[] {
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

/** As it is where it is short and well-formed, which is always but for somebody who means harm. */
function clean(value: unknown, length = VALUE_LENGTH_MAX): string {
  if (typeof value !== 'string') return ''
  if (value.length <= length && value.isWellFormed()) return value
  // Through bytes: a slice would keep the whole of the text in memory.
  return Buffer.from(value.slice(0, length)).toString()
}

const [RULE, HOSTNAME, SOURCE, TAGS, NAMESPACE, POD] = [0, 2, 3, 4, 5, 6]
/** Which labels are given up: the pod first, then the namespace, at last all but the priority. */
const GIVEN_UP: readonly (readonly number[])[] = [
  [POD],
  [NAMESPACE, POD],
  [RULE, HOSTNAME, SOURCE, TAGS, NAMESPACE, POD],
]

/** Index into GIVEN_UP of what a series can still give up first; -1: nothing is left. */
const rankOf = ({ values }: EventSeries) =>
  GIVEN_UP.findIndex((labels) => labels.some((label) => values[label] !== ''))
