// Checks that every module imports only what its floor allows, that each dependency has one door, and that
// globals are named only where they may be. The floors are in floors.mjs.
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { floors } from './floors.mjs'

const top = fileURLToPath(new URL('..', import.meta.url))

if (process.argv[1] === fileURLToPath(import.meta.url)) main()

function main() {
  const faults = []
  let modules = 0
  for (const area of floors) {
    const files = sources(join(top, area.root))
    modules += files.size
    faults.push(...findFaults(area, files).map((fault) => `${area.root}/${fault}`))
  }
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  process.stdout.write(`floors: ${modules} modules, ${faults.length} faults\n`)
  process.exitCode = faults.length === 0 ? 0 : 1
}

/** The sources of a folder without its tests: path from the folder, with slashes, to text. */
function sources(root) {
  const found = new Map()
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.tsx?$/.test(entry.name) || /\.(test|test-d)\.tsx?$/.test(entry.name)) continue
    const path = join(entry.parentPath ?? entry.path, entry.name)
    const module = relative(root, path).split(sep).join('/')
    if (!module.includes('test-support/')) found.set(module, readFileSync(path, 'utf8'))
  }
  return found
}

/**
 * What is wrong in the files of one area, one sentence each.
 *
 * @param area A row of `floors`.
 * @param {Map<string, string>} files Path from the area's root, to text.
 */
export function findFaults(area, files) {
  const program = parse(files)
  const checker = program.getTypeChecker()
  const faults = []
  for (const path of files.keys()) {
    const source = program.getSourceFile(`/${path}`)
    const module = path.replace(/\.tsx?$/, '')
    const row = area.rows.find(({ files }) => files.some((pattern) => matches(pattern, module)))
    const at = (node, text) => {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
      faults.push(`${path}:${line + 1} ${text}`)
    }
    if (!row) {
      faults.push(`${path}:1 is on no floor; give it a row in scripts/floors.mjs`)
      continue
    }
    for (const { node, from, typeOnly } of importsOf(source)) {
      if (from === undefined) at(node, 'imports a name that is not a plain string')
      else if (!allowed(row, module, from, typeOnly))
        at(node, `must not import ${from}${allowed(row, module, from, true) ? ' except for its types' : ''}`)
    }
    for (const { node, name } of globalsOf(source, checker)) {
      if (!row.globals?.includes(name) && banned(area.globals, name)) at(node, `must not name ${name}`)
    }
  }
  return faults
}

function banned({ allow, deny }, name) {
  if (deny.includes(name)) return true
  return allow !== undefined && !name.includes('.') && !name.includes(' ') && !allow.includes(name)
}

function allowed(row, module, from, typeOnly) {
  const fits = (pattern, name) =>
    pattern.startsWith('type:') ? typeOnly && matches(pattern.slice(5), name) : matches(pattern, name)
  if (!from.startsWith('.')) return (row.packages ?? []).some((pattern) => fits(pattern, from))
  const target = posix.normalize(posix.join(posix.dirname(module), from.replace(/\.(js|jsx|ts|tsx)$/, '')))
  // What tests share is not published.
  if (target.startsWith('..') || target.includes('test-support/')) return false
  return row.may.some((pattern) => fits(pattern, target))
}

function matches(pattern, name) {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

/** Parses without libraries and without following imports: what then has no symbol is a global. */
function parse(files) {
  const options = {
    noLib: true,
    noResolve: true,
    types: [],
    jsx: ts.JsxEmit.Preserve,
    target: ts.ScriptTarget.ES2022,
  }
  const host = {
    fileExists: (path) => files.has(path.slice(1)),
    readFile: (path) => files.get(path.slice(1)),
    getSourceFile: (path) => {
      const text = files.get(path.slice(1))
      return text === undefined ? undefined : ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
    },
    getDefaultLibFileName: () => '/lib.d.ts',
    getCurrentDirectory: () => '/',
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => '\n',
    writeFile: () => {},
  }
  return ts.createProgram(
    [...files.keys()].map((path) => `/${path}`),
    options,
    host,
  )
}

/** Every import and re-export of a file, whatever its form. */
function importsOf(source) {
  const found = []
  const add = (node, specifier, typeOnly) =>
    found.push({
      node,
      from: specifier && ts.isStringLiteralLike(specifier) ? specifier.text : undefined,
      typeOnly,
    })
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, onlyTypes(node.importClause))
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      const named =
        node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : undefined
      add(node, node.moduleSpecifier, node.isTypeOnly || everyIsType(named))
    } else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference))
      add(node, node.moduleReference.expression, node.isTypeOnly)
    else if (ts.isImportTypeNode(node)) add(node, node.argument.literal, true)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], false)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function onlyTypes(clause) {
  if (!clause) return false
  if (clause.isTypeOnly) return true
  if (clause.name) return false
  return everyIsType(
    clause.namedBindings && ts.isNamedImports(clause.namedBindings)
      ? clause.namedBindings.elements
      : undefined,
  )
}

function everyIsType(elements) {
  return elements !== undefined && elements.length > 0 && elements.every(({ isTypeOnly }) => isTypeOnly)
}

/** Every name of a global that is used as a value, as `name`, `name.member` where that is listed, or `new Date()`. */
function globalsOf(source, checker) {
  const found = []
  const visit = (node) => {
    if (isType(node)) return
    if (ts.isIdentifier(node) && isReference(node) && !isDeclared(node, checker)) {
      found.push({ node, name: node.text })
      const outer = node.parent
      if (ts.isPropertyAccessExpression(outer) && outer.expression === node)
        found.push({ node, name: `${node.text}.${outer.name.text}` })
      if (
        ts.isElementAccessExpression(outer) &&
        outer.expression === node &&
        ts.isStringLiteralLike(outer.argumentExpression)
      )
        found.push({ node, name: `${node.text}.${outer.argumentExpression.text}` })
      if (
        ts.isVariableDeclaration(outer) &&
        outer.initializer === node &&
        ts.isObjectBindingPattern(outer.name)
      )
        for (const { propertyName, name } of outer.name.elements)
          found.push({ node, name: `${node.text}.${(propertyName ?? name).text}` })
      if (ts.isNewExpression(outer) && outer.expression === node && (outer.arguments?.length ?? 0) === 0)
        found.push({ node, name: `new ${node.text}()` })
      if (ts.isCallExpression(outer) && outer.expression === node && node.text === 'Date')
        found.push({ node, name: 'new Date()' })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function isType(node) {
  if (!ts.isExpressionWithTypeArguments(node)) return ts.isTypeNode(node)
  // A class extends a value; what an interface extends or a class implements is a type.
  return (
    ts.isInterfaceDeclaration(node.parent.parent) || node.parent.token === ts.SyntaxKind.ImplementsKeyword
  )
}

/** True for an identifier that is read as a value: not a member's name, a label or a declaration. */
function isReference(node) {
  const outer = node.parent
  if (ts.isPropertyAccessExpression(outer)) return outer.expression === node
  if (ts.isPropertyAssignment(outer) || ts.isEnumMember(outer)) return outer.initializer === node
  if (ts.isShorthandPropertyAssignment(outer)) return true
  if (ts.isBindingElement(outer)) return outer.initializer === node
  if (ts.isVariableDeclaration(outer) || ts.isParameter(outer) || ts.isPropertyDeclaration(outer))
    return outer.initializer === node
  if (ts.isImportSpecifier(outer) || ts.isImportClause(outer) || ts.isNamespaceImport(outer)) return false
  if (ts.isExportSpecifier(outer))
    return !outer.parent.parent.moduleSpecifier && (outer.propertyName ?? outer.name) === node
  if (ts.isJsxAttribute(outer) || ts.isMetaProperty(outer) || ts.isLabeledStatement(outer)) return false
  if (ts.isBreakOrContinueStatement(outer) || ts.isQualifiedName(outer)) return false
  if (ts.isJsxOpeningLikeElement(outer) || ts.isJsxClosingElement(outer))
    return outer.tagName !== node || /^[A-Z]/.test(node.text)
  if (ts.isMethodDeclaration(outer) || ts.isAccessor(outer) || ts.isFunctionLike(outer))
    return outer.name !== node
  if (ts.isClassLike(outer) || ts.isInterfaceDeclaration(outer) || ts.isTypeAliasDeclaration(outer))
    return false
  return true
}

function isDeclared(node, checker) {
  // The checker knows globalThis and undefined by itself.
  if (node.text === 'globalThis') return false
  const symbol = ts.isShorthandPropertyAssignment(node.parent)
    ? checker.getShorthandAssignmentValueSymbol(node.parent)
    : checker.getSymbolAtLocation(node)
  return (symbol?.declarations?.length ?? 0) > 0
}
