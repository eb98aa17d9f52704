package ecert

// words are the fixed texts of a certificate in one language.
type words struct {
	department, ministry, country string
	numberLabel                   string
	certify, icLabel              string
	centreLabel, batchLabel       string
	dateLabel                     string
	legal                         [2]string
	signed                        string
	signatory                     [2]string
	scan                          [2]string
	footer                        [2]string
	titles                        map[Level]title
}

// title is what depends on the level.
type title struct {
	heading, level string
	award          string
}

var malay = words{
	department:  "JABATAN PEMBANGUNAN KEMAHIRAN",
	ministry:    "KEMENTERIAN SUMBER MANUSIA",
	country:     "MALAYSIA",
	numberLabel: "No. Sijil",
	certify:     "Dengan ini disahkan bahawa",
	icLabel:     "No. Kad Pengenalan",
	centreLabel: "Pusat",
	batchLabel:  "Batch",
	dateLabel:   "Bulan dan tahun",
	legal: [2]string{
		"Dikeluarkan oleh Ketua Pengarah Pembangunan Kemahiran di bawah seksyen 34",
		"Akta Pembangunan Kemahiran Kebangsaan 2006 [Akta 652]",
	},
	signed:    "DITANDATANGANI SECARA DIGITAL",
	signatory: [2]string{"Ketua Pengarah", "Pembangunan Kemahiran"},
	scan:      [2]string{"Imbas untuk mengesahkan sijil ini.", "Alamat halaman mesti bermula dengan"},
	footer: [2]string{
		"Sijil elektronik ini ditandatangani secara digital dan tidak memerlukan tandatangan dakwat.",
		"Tidak boleh dipinda. Cetakan hanya di atas kertas A4 berwarna putih.",
	},
	titles: map[Level]title{
		SKM1: {"Sijil Kemahiran Malaysia", "TAHAP 1", malayCertificate},
		SKM2: {"Sijil Kemahiran Malaysia", "TAHAP 2", malayCertificate},
		SKM3: {"Sijil Kemahiran Malaysia", "TAHAP 3", malayCertificate},
		DKM:  {"Diploma Kemahiran Malaysia", "TAHAP 4", malayDiploma},
		DLKM: {"Diploma Lanjutan Kemahiran Malaysia", "TAHAP 5", malayDiploma},
		PC:   {"Penyata Pencapaian", "", "telah mencapai keterampilan bagi unit kompetensi yang dinilai dalam program"},
		VTO:  {"Sijil Pegawai Latihan Vokasional", "VTO", malayCertificate},
		VTE:  {"Sijil Eksekutif Latihan Vokasional", "VTE", malayCertificate},
		VTM:  {"Sijil Pengurus Latihan Vokasional", "VTM", malayCertificate},
	},
}

const (
	malayCertificate = "telah mencapai keterampilan yang ditetapkan dan dianugerahkan sijil ini dalam program"
	malayDiploma     = "telah mencapai keterampilan yang ditetapkan dan dianugerahkan diploma ini dalam program"

	englishCertificate = "has attained the prescribed competency and is awarded this certificate in"
	englishDiploma     = "has attained the prescribed competency and is awarded this diploma in"
)

var english = words{
	department:  "DEPARTMENT OF SKILLS DEVELOPMENT",
	ministry:    "MINISTRY OF HUMAN RESOURCES",
	country:     "MALAYSIA",
	numberLabel: "Certificate No.",
	certify:     "This is to certify that",
	icLabel:     "Identity Card No.",
	centreLabel: "Centre",
	batchLabel:  "Batch",
	dateLabel:   "Month and year",
	legal: [2]string{
		"Issued by the Director General of Skills Development under section 34",
		"of the National Skills Development Act 2006 [Act 652]",
	},
	signed:    "DIGITALLY SIGNED",
	signatory: [2]string{"Director General", "of Skills Development"},
	scan:      [2]string{"Scan to verify this certificate.", "The page address must begin with"},
	footer: [2]string{
		"This electronic certificate is digitally signed and needs no signature in ink.",
		"It must not be amended. Print on white A4 paper only.",
	},
	titles: map[Level]title{
		SKM1: {"Malaysian Skills Certificate", "LEVEL 1", englishCertificate},
		SKM2: {"Malaysian Skills Certificate", "LEVEL 2", englishCertificate},
		SKM3: {"Malaysian Skills Certificate", "LEVEL 3", englishCertificate},
		DKM:  {"Malaysian Skills Diploma", "LEVEL 4", englishDiploma},
		DLKM: {"Malaysian Skills Advanced Diploma", "LEVEL 5", englishDiploma},
		PC:   {"Statement of Achievement", "", "has attained competency in the units assessed in the programme"},
		VTO:  {"Vocational Training Officer Certificate", "VTO", englishCertificate},
		VTE:  {"Vocational Training Executive Certificate", "VTE", englishCertificate},
		VTM:  {"Vocational Training Manager Certificate", "VTM", englishCertificate},
	},
}

// words returns the texts of a language.
func (l Language) words() (*words, bool) {
	switch l {
	case Malay:
		return &malay, true
	case English:
		return &english, true
	}
	return nil, false
}
