// Package ecert reads lists of certificate candidates and draws their
// electronic certificates (eCertificate) as PDF files of one or two A4 pages.
//
// # The candidate list
//
// A list is CSV (RFC 4180) in UTF-8, with or without a byte order mark, lines
// ended by LF or CRLF. The first row names the columns, in any order; each of
// the eleven is present exactly once, in its Malay or its English name. Case
// does not matter, and spaces, hyphens and full stops may stand for the
// underscores (`No. Kad Pengenalan`).
//
//	nama            name                                    full name
//	no_kp           no_kad_pengenalan, ic, mykad            12 digits, or 900101-14-5678
//	no_sijil        nombor_sijil, number, certificate_number, certificate_no
//	kod_program     programme_code, program_code, kod_noss, noss_code
//	nama_program    programme_name, program_name
//	tahap           level, jenis, type                      SKM 1, SKM 2, SKM 3, DKM, DLKM, PC, VTO, VTE, VTM
//	kod_pusat       centre_code, center_code
//	pusat           nama_pusat, centre, center, centre_name, center_name
//	batch           kelompok
//	tahun           bulan_tahun, year, month_year           month and year: 072021
//	bahasa          language                                ms or bm, en or bi
//
// A defect of the file refuses it whole, with a *CSVError: another encoding, a
// NUL, a column missing, unknown or twice, a row with more or fewer fields than
// the header, quotes that do not balance, a limit exceeded. A defect of one row
// refuses that row, with a *Refusal. Rows with nothing in them are passed over.
//
// Text is normalised to NFC; tabs and the spaces of Unicode become plain
// spaces, runs of them one, and those at the ends go. Characters that would
// print as nothing, change the direction of the text or end the line (controls,
// soft hyphen, zero-width and bidirectional format characters, line and
// paragraph separators), and those the certificate's typeface lacks, are
// refused and never dropped: a certificate shows the name that was submitted or
// does not exist. Cells that look like formulas are names like any other; they
// do nothing in a PDF.
//
// # The certificate
//
// What stands where, and in which words, is in Templates: YAML with assets, those
// that come with the program or an installation's own. A Renderer compiles them for
// each level and language and serialises once what certificates share: typefaces,
// ornament, profile, structure. What it returns is a function of the candidate, the
// address, the photo and the Options, byte for byte, and carries no time of its own:
// PDF/A-2b (ISO 19005-2) with a classic cross-reference table, subset typefaces with
// ToUnicode maps, a structure tree in reading order, /Lang, Info and XMP titles,
// ready for a signature in an incremental update. Names too long for the line are
// set smaller, then on several lines; nothing is cut. Competency Units that do not
// fit go on overleaf.
package ecert
