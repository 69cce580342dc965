// Packs every package as it would be published, looks at what is in the archives, installs them with npm into an
// empty project and uses them there as anyone would: in plain Node, and bundled for a page with a strict CSP.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'vite'
import { top } from './documents.mjs'

const exec = promisify(execFile)
const { packageManager } = JSON.parse(await readFile(join(top, 'package.json'), 'utf8'))
const folder = await mkdtemp(join(tmpdir(), 's4s-pack-'))
const faults = []
let checks = 0

async function pack() {
  const packed = []
  for (const name of await readdir(join(top, 'packages'))) {
    const cwd = join(top, 'packages', name)
    const manifest = JSON.parse(await readFile(join(cwd, 'package.json'), 'utf8'))
    await exec('npx', ['--yes', packageManager, 'pack', '--pack-destination', folder], { cwd })
    const file = join(folder, `${manifest.name.slice(1).replace('/', '-')}-${manifest.version}.tgz`)
    packed.push({ name: manifest.name, source: manifest, file })
  }
  return packed
}

/** The one file of a package that may need an optional peer. */
const doors = {
  'fhir-kit-client': /\/fhir-kit\./,
  'tus-js-client': /\/tus\./,
  fflate: /\/zip\./,
  'pg-boss': /\/worker\//,
}

/** What is in one archive. */
async function look({ name, source, file }) {
  const unpacked = join(folder, 'unpacked', name)
  await mkdir(unpacked, { recursive: true })
  await exec('tar', ['-xzf', file, '-C', unpacked])
  const root = join(unpacked, 'package')
  const files = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

  const plain = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
  check(`${name} holds only what is meant to be published`, () =>
    files.filter((path) => !plain.test(path) && !allowed(path)),
  )
  check(`${name} has a licence and a page to read`, () =>
    ['LICENSE', 'README.md'].filter((path) => !files.includes(path)),
  )
  check(`${name} runs nothing when it is installed`, () =>
    ['preinstall', 'install', 'postinstall', 'prepare'].filter((script) => manifest.scripts?.[script]),
  )
  check(`${name} exports what is there`, () =>
    Object.values(manifest.exports)
      .flatMap((target) => (typeof target === 'string' ? [target] : Object.values(target)))
      .filter((path) => !files.includes(path.slice(2))),
  )
  check(`${name} has every entry of its package.json in publishConfig too`, () =>
    Object.keys(source.exports).filter((path) => !Object.hasOwn(manifest.exports, path)),
  )
  check(`${name} does not point to sources`, () =>
    JSON.stringify(manifest.exports).includes('@s4s/source') ? ['exports'] : [],
  )
  for (const path of files.filter((path) => /\.(js|map|ts|json|txt)$/.test(path))) {
    const text = await readFile(join(root, path), 'utf8')
    if (text.includes(top) || /["'(](file:\/\/)?\/(home|work|tmp|Users)\//.test(text))
      faults.push(`${name}: ${path} names a path of this machine`)
    // Whoever imports the entry that is made for it has installed it.
    for (const peer of Object.keys(source.peerDependenciesMeta ?? {}))
      if (!doors[peer]?.test(path) && new RegExp(`from ['"]${peer}['"]`).test(text))
        faults.push(`${name}: ${path} needs ${peer}`)
    if (/\.js$/.test(path) && /\beval\(|\bnew Function\b/.test(text))
      faults.push(`${name}: ${path} evaluates text`)
  }

  await succeeds(`publint of ${name}`, 'npx', ['publint', 'run', file, '--strict'])
  await succeeds(`the types of ${name}, as every resolver finds them`, 'npx', [
    'attw',
    file,
    '--profile',
    'esm-only',
    '--no-emoji',
  ])
}

function allowed(path) {
  return (
    /^dist\/.*\.(js|js\.map|d\.ts|txt|json|html|css|svg)$/.test(path) &&
    !/\.test(-d)?\.|test-support|__/.test(path)
  )
}

/** An empty project with the archives, and what is installed with them. */
async function install(packed) {
  const project = async (name, wanted, others = {}) => {
    const cwd = join(folder, name)
    await mkdir(cwd)
    const dependencies = Object.fromEntries(
      packed.filter((one) => wanted.includes(one.name)).map((one) => [one.name, `file:${one.file}`]),
    )
    await writeFile(
      join(cwd, 'package.json'),
      JSON.stringify({ name, private: true, type: 'module', dependencies: { ...dependencies, ...others } }),
    )
    const installed = await succeeds(
      `npm installs ${wanted.join(', ')}`,
      'npm',
      ['install', '--no-audit', '--no-fund', '--prefer-offline'],
      { cwd },
    )
    return installed ? cwd : undefined
  }
  const page = await project('page', ['@s4s/core', '@s4s/browser'])
  if (page) {
    const { stdout } = await exec('npm', ['ls', '--all', '--parseable'], { cwd: page })
    const count = new Set(stdout.trim().split('\n').slice(1)).size
    check(`an app with @s4s/browser installs at most 8 packages`, () => (count <= 8 ? [] : [`${count}`]))
    await bundleOf(page)
    await types(page)
  }
  const server = await project(
    'server',
    packed.map(({ name }) => name),
    optionalPeers(packed),
  )
  if (!server) return
  const entries = packed.flatMap(({ name, source }) =>
    Object.entries(source.exports)
      .filter(([, target]) => typeof target === 'object')
      .map(([path]) => name + path.slice(1)),
  )
  for (const entry of entries)
    await script(
      server,
      `${entry} loads in plain Node`,
      `import * as entry from '${entry}'\nif (Object.keys(entry).length === 0) throw new Error('it is empty')`,
    )
  await succeeds('s4s runs where it was installed', join(server, 'node_modules/.bin/s4s'), [
    'inbox',
    'export',
    '--help',
  ])
  await script(server, 'the road from connect to collect works with what was installed', road)
}

/** What an app installs besides for the entries that need it, at the versions that the package was tested with. */
function optionalPeers(packed) {
  return Object.fromEntries(
    packed.flatMap(({ source }) =>
      Object.keys(source.peerDependenciesMeta ?? {}).map((name) => [
        name,
        source.devDependencies?.[name] ?? source.peerDependencies[name],
      ]),
    ),
  )
}

const road = `
import { collect, createNodeClient, s4sPilot } from '@s4s/node'
import { startSandbox } from '@s4s/sandbox'
const sandbox = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
try {
  const { client } = createNodeClient({
    baseUrl: 'http://127.0.0.1:9/smart', providers: [sandbox.provider], plan: s4sPilot, afterConnect: '/',
    cookieSecret: 'there is no browser here to keep a cookie for',
  })
  const { url } = await client.authorize(sandbox.provider.id)
  const connection = await client.callback(await sandbox.approve(url))
  const record = await collect(connection, { plan: s4sPilot })
  if (record.count('Patient') !== 1 || record.count() < 10) throw new Error('collected ' + record.count())
} finally {
  await sandbox.stop()
}
`

/** The page of an app with a strict Content-Security-Policy: no code is made of text. */
async function bundleOf(cwd) {
  await writeFile(join(cwd, 'index.html'), '<!doctype html><script type="module" src="./main.js"></script>')
  await writeFile(join(cwd, 'main.js'), `import * as s4s from '@s4s/browser'\nglobalThis.s4s = s4s`)
  const { output } = await build({
    root: cwd,
    configFile: false,
    logLevel: 'error',
    build: { write: false, target: 'es2022' },
  })
  const code = output.map((part) => (part.type === 'chunk' ? part.code : '')).join('')
  check('a page that bundles @s4s/browser keeps a strict CSP', () =>
    [...code.matchAll(/\beval\(|\bFunction\(|document\.write/g)].map(([word]) => word),
  )
  check('nothing of Node is in the page', () =>
    [...code.matchAll(/__vite-browser-external|node:\w+|\bprocess\.(env|version)/g)].map(([word]) => word),
  )
}

/** An app's own compiler, strict and with a look into every declaration that comes along. */
async function types(cwd) {
  const app = `import { type Connection, collect, createBrowserClient, type Plan, usCore } from '@s4s/browser'
import { clientSecret } from '@s4s/core/confidential'
import { epic } from '@s4s/core/vendors'
const plan: Plan<'Patient' | 'Laboratory'> = usCore.only('Patient', 'Laboratory')
const smart = createBrowserClient({ redirectUri: 'https://app.example/', plan, providers: [
  { id: 'a', name: 'A', iss: 'https://a.example/r4', clientId: 'app', vendor: epic } ] })
const connection: Connection | undefined = await smart.handleRedirect()
const unit: string | undefined = connection && (await connection.read('Observation', '1')).valueQuantity?.unit
export const result = [unit, connection && (await collect(connection, { plan })).count('Laboratory'), clientSecret]
`
  await writeFile(join(cwd, 'app.ts'), app)
  for (const [module, resolution] of [
    ['NodeNext', 'NodeNext'],
    ['ESNext', 'Bundler'],
  ])
    await succeeds(
      `an app compiles with moduleResolution ${resolution}`,
      process.execPath,
      [
        join(top, 'node_modules/typescript/bin/tsc'),
        ...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'ES2022'],
        ...['--lib', 'ES2022,DOM,DOM.Iterable', '--module', module, '--moduleResolution', resolution],
        join(cwd, 'app.ts'),
      ],
      { cwd },
    )
}

async function script(cwd, title, code) {
  await succeeds(title, process.execPath, ['--input-type=module', '--eval', code], { cwd, timeout: 60_000 })
}

async function succeeds(title, command, args, options = {}) {
  checks += 1
  try {
    await exec(command, args, {
      cwd: top,
      maxBuffer: 32 * 1024 * 1024,
      env: { ...process.env, NO_COLOR: '1' },
      ...options,
    })
    return true
  } catch (error) {
    faults.push(`${title}: ${`${error.stdout ?? ''}${error.stderr ?? ''}`.trim() || error.message}`)
    return false
  }
}

function check(title, find) {
  checks += 1
  const found = find()
  if (found.length > 0) faults.push(`not so: ${title}: ${found.join(', ')}`)
}

try {
  const packed = await pack()
  for (const one of packed) await look(one)
  await install(packed)
} finally {
  await rm(folder, { recursive: true, force: true })
}
for (const fault of faults) process.stderr.write(`${fault}\n`)
process.stdout.write(`pack: ${checks} checks, ${faults.length} faults\n`)
process.exitCode = faults.length === 0 ? 0 : 1
