/** The address under which the client reached us, for absolute links. */

/** Headers that say it, in the order in which {@link baseUrl} takes them. */
export const HOST_HEADERS: readonly string[] = ['host', 'x-forwarded-host', 'x-forwarded-proto']

const HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/

/** As configured, else as the request says; a host that is none of either is this machine to itself. */
export function baseUrl(publicUrl: string | null, headers: readonly string[]): string {
  if (publicUrl !== null) return publicUrl
  const [host = '', forwardedHost = '', forwardedProto = ''] = headers
  const name = [firstOf(forwardedHost), host].find((one) => HOST.test(one)) ?? 'localhost'
  const scheme = firstOf(forwardedProto) === 'https' ? 'https' : 'http'
  return `${scheme}://${name}`
}

/** Each proxy adds its own behind a comma; the first is the one nearest to the client. */
function firstOf(list: string): string {
  return list.split(',')[0]?.trim() ?? ''
}
