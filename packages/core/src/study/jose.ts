/**
 * The one door to jose. It is loaded when a package is sealed or a signature is looked at, so that a page which does
 * neither never fetches it.
 */
export const loadJose = (): Promise<typeof import('jose')> => import('jose')
