/** nginx's access log, as the load balancer's configuration writes it. */
export interface LogLine {
  readonly requestId: string
  /** Every node that was tried, `host:port`. */
  readonly upstreams: readonly string[]
  readonly status: number
  readonly upstreamStatuses: readonly string[]
  readonly method: string
  readonly uri: string
}

const LINE = /^\S+ (\S+) (\S+(?:, \S+)*) (\d+) (\S+(?:, \S+)*) \S+ \S+(?:, \S+)* \d+ (\S*) (.*)$/

export function parseAccessLog(text: string): LogLine[] {
  return text.split('\n').flatMap((line) => {
    const [, requestId = '', upstreams = '', status = '', statuses = '', method = '', uri = ''] = LINE.exec(line) ?? []
    if (requestId === '') return []
    return [
      {
        requestId,
        upstreams: upstreams.split(', '),
        status: Number(status),
        upstreamStatuses: statuses.split(', '),
        method,
        uri,
      },
    ]
  })
}

/** Requests per node, in percent of all that went to exactly one node. */
export function sharesOf(lines: readonly LogLine[]): Map<string, number> {
  const counts = new Map<string, number>()
  const single = lines.filter(({ upstreams }) => upstreams.length === 1 && upstreams[0] !== '-')
  for (const { upstreams } of single) counts.set(upstreams[0] ?? '', (counts.get(upstreams[0] ?? '') ?? 0) + 1)
  return new Map([...counts].map(([address, count]) => [address, (100 * count) / single.length]))
}
