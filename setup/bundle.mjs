/**
 * Settings for rolldown: the command line with all it needs, as one file.
 *
 * Every process of a cluster and every command starts here, and looking up and reading five hundred small files takes
 * Node longer than most commands work. What finds other files beside itself goes on finding them: a module's own address
 * becomes one reckoned from where the bundle lies.
 */
import { dirname, relative } from 'node:path'

const DIST = process.env.FAREBOX_BUNDLE_DIST ?? 'dist'
/** Native code, WebAssembly and threads, which look for files beside themselves. */
const APART = /^(uWebSockets\.js|@electric-sql\/pglite|piscina|pino|pg)(\/|$)/

const OWN_ADDRESS = /\bimport\.meta\.(url|dirname|filename)\b/g

/** @param {string} code @param {string} id */
function addressed(code, id) {
  const place = relative(DIST, id)
  if (place.startsWith('..')) return null
  const own = {
    url: `new URL(${JSON.stringify(`./${place}`)}, import.meta.url).href`,
    dirname: `(import.meta.dirname + ${JSON.stringify(`/${dirname(place)}`)})`,
    filename: `(import.meta.dirname + ${JSON.stringify(`/${place}`)})`,
  }
  return code.replaceAll(OWN_ADDRESS, (_, part) => own[part])
}

export default {
  input: `${DIST}/coordinator/cli/main.js`,
  platform: 'node',
  external: (id) => APART.test(id),
  plugins: [{ name: 'own-address', transform: addressed }],
  output: { file: `${DIST}/farebox.mjs`, format: 'esm' },
}
