package health

import "strings"

// words are what is said of a code: what was found, what to do, and a command or setting
// to copy. {name} stands for an argument.
type words struct {
	ms, en       string
	fixMS, fixEN string
	command      string
}

// Say gives the words of a code in English or Malay. A code that is not known gives itself.
func Say(code string, args map[string]string, english bool) (text, fix, command string) {
	w, known := sayings()[code]
	if !known {
		return code, "", ""
	}
	pairs := make([]string, 0, 2*len(args))
	for name, v := range args {
		if why, ok := reasons()[v]; ok && name == "reason" {
			v = why.ms
			if english {
				v = why.en
			}
		}
		pairs = append(pairs, "{"+name+"}", v)
	}
	fill := strings.NewReplacer(pairs...).Replace
	if english {
		return fill(w.en), fill(w.fixEN), fill(w.command)
	}
	return fill(w.ms), fill(w.fixMS), fill(w.command)
}

// reasons are the words of an argument "reason". The error itself, which may name users and
// addresses, stands in the gateway's log.
func reasons() map[string]words {
	return map[string]words{
		"timeout":  {ms: "tidak menjawab dalam masa yang ditetapkan", en: "no answer in time"},
		"refused":  {ms: "sambungan ditolak", en: "the connection is refused"},
		"unknown":  {ms: "nama pelayan tidak ditemui", en: "the server's name is not known"},
		"closed":   {ms: "sambungan terputus", en: "the connection was cut"},
		"tls":      {ms: "sijil TLS pelayan tidak diterima", en: "the server's TLS certificate is not accepted"},
		"full":     {ms: "tiada ruang cakera", en: "no space on the disk"},
		"denied":   {ms: "log masuk atau kebenaran ditolak", en: "log-in or permission refused"},
		"missing":  {ms: "tidak ditemui", en: "it is not there"},
		"readonly": {ms: "boleh dibaca sahaja", en: "it can only be read"},
		"away":     {ms: "HSM tidak dapat dicapai", en: "the HSM is away"},
		"other":    {ms: "sebabnya ada dalam log get laluan", en: "the gateway's log has the reason"},
	}
}

func sayings() map[string]words {
	all := map[string]words{
		"waits":  {ms: "Belum diperiksa sejak get laluan dimulakan.", en: "Not looked at yet since the gateway started."},
		"silent": {ms: "Tidak diketahui: pemeriksaan tidak kembali dalam {seconds} saat.", en: "Not known: the look did not come back within {seconds} seconds."},
		"broken": {ms: "Tidak diketahui: pemeriksaan ini sendiri gagal.", en: "Not known: this check itself failed.", fixMS: "Hantar log get laluan kepada pembekal.", fixEN: "Send the gateway's log to the supplier.", command: "journalctl -u mohor | grep 'health check failed'"},
		"asked":  {ms: "Tidak diketahui: {reason}.", en: "Not known: {reason}."},
	}
	for _, part := range []map[string]words{tokenWords(), dataWords(), backupWords(), mailWords(), trustWords(), machineWords(), eventWords()} {
		for code, w := range part {
			all[code] = w
		}
	}
	return all
}

func tokenWords() map[string]words {
	const fixMS = "Periksa bekalan kuasa dan rangkaian HSM serta log modulnya. Get laluan menyambung semula sendiri; jangan masukkan PIN token berulang kali. Jika HSM hidup tetapi tidak pulih, periksa dengan:"
	const fixEN = "Look at the HSM's power and network, and the module's own log. The gateway reconnects by itself; never try the token PIN again and again. If the HSM is up and it does not recover, ask:"
	const doctor = "mohor doctor --data {data}"
	return map[string]words{
		"hsm.ok":      {ms: "HSM membuka kunci, menandatangani dan mengesahkan.", en: "The HSM opens a key, signs and verifies."},
		"hsm.slow":    {ms: "HSM menandatangani, tetapi perlahan ({ms} ms).", en: "The HSM signs, but slowly ({ms} ms).", fixMS: "Lihat beban HSM dan rangkaian ke HSM; jalankan pemeriksaan:", fixEN: "Look at the load of the HSM and at the network to it; measure it:", command: "mohor bench hsm --data {data}"},
		"hsm.fails":   {ms: "HSM tidak dapat menandatangani sejak {since}. Tiada siapa boleh menandatangani.", en: "The HSM has not signed since {since}. Nobody can sign.", fixMS: fixMS, fixEN: fixEN, command: doctor},
		"hsm.silent":  {ms: "HSM tidak menjawab. Tiada siapa boleh menandatangani.", en: "The HSM does not answer. Nobody can sign.", fixMS: fixMS, fixEN: fixEN, command: doctor},
		"sessions.ok": {ms: "Sesi token mencukupi.", en: "There are sessions of the token to spare."},
		"sessions.full": {ms: "Semua sesi token sedang digunakan; permintaan menunggu.", en: "All sessions of the token are in use; requests wait.",
			fixMS: "Jika berterusan, tambah sesi dalam mohor.yaml (setakat yang HSM benarkan) dan mulakan semula get laluan:", fixEN: "If it lasts, have more sessions in mohor.yaml (as many as the HSM allows) and start the gateway again:", command: "token:\n  sessions: {more}"},
		"queue.ok":   {ms: "Barisan tandatangan bergerak.", en: "The signing queue moves."},
		"queue.long": {ms: "{waiting} kelompok menunggu giliran pada get laluan ini.", en: "{waiting} batches wait for their turn at this gateway.", fixMS: "Ia bergerak sendiri. Untuk lebih banyak serentak, jika HSM mampu:", fixEN: "It goes on by itself. To sign more at once, if the HSM can:", command: "batch:\n  at_once: {more}"},
		"queue.needs": {ms: "{needs} kelompok terhenti dan menunggu PIN serta kod pegawai.", en: "{needs} batches stopped and wait for an officer's PIN and code.",
			fixMS: "Buka Kelompok dan hubungi pegawai masing-masing supaya meneruskan.", fixEN: "Open Batches and ask their officers to go on."},
	}
}

func dataWords() map[string]words {
	return map[string]words{
		"database.ok":     {ms: "Pangkalan data menjawab.", en: "The database answers."},
		"database.slow":   {ms: "Pangkalan data menjawab perlahan ({ms} ms).", en: "The database answers slowly ({ms} ms).", fixMS: "Lihat beban, cakera dan rangkaian pelayan pangkalan data.", fixEN: "Look at the database server's load, disk and network."},
		"database.fails":  {ms: "Pangkalan data tidak dapat digunakan: {reason}.", en: "The database cannot be used: {reason}.", fixMS: "Hidupkan pangkalan data atau pulihkan rangkaian; get laluan meneruskan sendiri. Untuk sebabnya:", fixEN: "Start the database or mend the network; the gateway goes on by itself. For the reason:", command: "mohor doctor --data {data}"},
		"database.silent": {ms: "Pangkalan data tidak menjawab dalam {seconds} saat.", en: "The database has not answered within {seconds} seconds.", fixMS: "Hidupkan pangkalan data atau pulihkan rangkaian; get laluan meneruskan sendiri. Untuk sebabnya:", fixEN: "Start the database or mend the network; the gateway goes on by itself. For the reason:", command: "mohor doctor --data {data}"},
		"database.schema": {ms: "Skema pangkalan data ialah {schema}; program ini memerlukan {current}.", en: "The schema of the database is {schema}; this program wants {current}.", fixMS: "Gunakan versi mohor yang sama pada semua get laluan; yang terbaharu memindahkan skema apabila dimulakan.", fixEN: "Have the same version of mohor on all gateways; the newest migrates the schema when it starts.", command: "mohor version"},
		"database.wal":    {ms: "Log tulis ke hadapan (WAL) ialah {size}.", en: "The write-ahead log is {size}.", fixMS: "Sesuatu membaca pangkalan data tanpa henti, mungkin salinan sandaran. Tamatkannya; log mengecil sendiri.", fixEN: "Something reads the database without an end, a backup perhaps. End it; the log shrinks by itself.", command: "fuser -v {database}"},
		"database.lag":    {ms: "Replika PostgreSQL ketinggalan {seconds} saat.", en: "A replica of PostgreSQL is {seconds} seconds behind.", fixMS: "Periksa rangkaian dan cakera replika:", fixEN: "Look at the replica's network and disk:", command: "psql -c 'SELECT application_name, state, replay_lag FROM pg_stat_replication'"},
		"redis.none":      {ms: "Redis tidak digunakan: kod dan had disimpan dalam ingatan get laluan ini.", en: "Redis is not used: codes and limits are in this gateway's memory."},
		"redis.ok":        {ms: "Redis menjawab.", en: "Redis answers."},
		"redis.fails": {ms: "Redis tidak dapat digunakan: {reason}. Kelompok yang terhenti memerlukan PIN dan kod semula, dan hanya get laluan ini boleh menyemak kod yang dikeluarkannya.", en: "Redis cannot be used: {reason}. A batch that stops needs PIN and code anew, and this gateway alone can check the codes it issues.",
			fixMS: "Hidupkan Redis atau pulihkan rangkaian ke alamat dalam redis.address; get laluan menggunakannya semula sendiri.", fixEN: "Start Redis, or mend the network to what redis.address names; the gateway uses it again by itself.", command: "systemctl restart redis-server"},
		"documents.ok":    {ms: "Storan dokumen boleh digunakan.", en: "The store of documents can be used."},
		"documents.fails": {ms: "Dokumen tidak dapat disimpan: {reason}.", en: "Documents cannot be stored: {reason}.", fixMS: "Pulihkan storan, atau betulkan pemilik dan tetapannya; muat naik gagal sehingga itu.", fixEN: "Mend the store, or its owner and settings; uploads fail until then.", command: "mohor doctor --data {data}"},
		"disk.ok":         {ms: "Cakera mempunyai ruang.", en: "The disks have room."},
		"disk.low":        {ms: "Ruang cakera tinggal {free} di {path}.", en: "There are {free} left at {path}.", fixMS: "Sediakan ruang sebelum penuh: besarkan cakera, atau pindahkan dokumen (blobs) ke cakera yang lebih besar.", fixEN: "Make room before it is full: a larger disk, or documents (blobs) on another.", command: "df -h {path}"},
		"disk.full":       {ms: "Cakera hampir penuh: tinggal {free} di {path}. Apabila penuh, tiada apa-apa boleh ditandatangani.", en: "The disk is nearly full: {free} left at {path}. When it is full, nothing can be signed.", fixMS: "Kosongkan ruang sekarang: besarkan cakera atau pindahkan fail yang bukan milik Mohor.", fixEN: "Make room now: enlarge the disk, or move files away that are not Mohor's.", command: "du -xh --max-depth=2 {path} | sort -h | tail"},
		"audit.ok":        {ms: "Rantaian audit utuh di bawah kepala yang ditandatangani.", en: "The audit chain is whole under its signed head."},
		"audit.late":      {ms: "Kepala audit tidak ditandatangani sejak {since}; {records} rekod di luar lindungannya.", en: "No audit head was signed since {since}; {records} records are under none.", fixMS: "Lihat log get laluan; biasanya HSM atau cakera puncanya:", fixEN: "Look into the gateway's log; HSM or disk is the usual cause:", command: "journalctl -u mohor | grep 'signing audit head'"},
		"audit.broken":    {ms: "Rantaian audit rosak: seseorang mengubah rekod.", en: "The audit chain is broken: somebody changed the record.", fixMS: "Jangan ubah apa-apa. Bandingkan dengan salinan di luar mesin:", fixEN: "Change nothing. Compare with the copy off the machine:", command: "mohor audit verify --data {data} --heads COPY"},
	}
}

func backupWords() map[string]words {
	const mark = "mohor backup mark --data {data} {how}"
	const fixMS = "Buat sandaran token, fail rahsia (secrets), pangkalan data dan dokumen seperti dalam docs/operating.md, kemudian catatkannya:"
	const fixEN = "Back up token, secrets, database and documents as docs/operating.md says, then note it:"
	return map[string]words{
		"backup.sandbox":    {ms: "Kotak pasir tidak memerlukan sandaran.", en: "A sandbox needs no backup."},
		"backup.off":        {ms: "Umur sandaran tidak dipantau (backup.max_age).", en: "The age of backups is not watched (backup.max_age)."},
		"backup.ok":         {ms: "Sandaran terakhir baharu dan telah disahkan.", en: "The last backup is recent and was verified."},
		"backup.unverified": {ms: "Sandaran terakhir ({made}) belum disahkan: mungkin ia tidak dapat dipulihkan.", en: "The last backup ({made}) was not verified: it may be that it cannot be put back.", fixMS: "Semak salinan itu, kemudian catatkannya:", fixEN: "Check the copy, then note it:", command: mark},
		"backup.none":       {ms: "Tiada sandaran pernah dicatat. Jika token atau pangkalan data hilang, semua kunci pegawai hilang.", en: "No backup was ever noted. If token or database is lost, every officer's key is.", fixMS: fixMS, fixEN: fixEN, command: mark},
		"backup.old":        {ms: "Sandaran terakhir dibuat {made}, lebih {limit} jam yang lalu.", en: "The last backup was made {made}, more than {limit} hours ago.", fixMS: fixMS, fixEN: fixEN, command: mark},
	}
}

func mailWords() map[string]words {
	return map[string]words{
		"mail.ok": {ms: "E-mel dihantar keluar.", en: "Mail goes out."},
		"mail.fails": {ms: "E-mel tidak dapat dihantar: {reason}. Kod tidak sampai kepada pegawai.", en: "No mail goes out: {reason}. Codes do not reach officers.",
			fixMS: "Hidupkan pelayan e-mel, atau betulkan mail.host, mail.port dan mail.tls dalam mohor.yaml. Semak dengan:", fixEN: "Start the mail server, or correct mail.host, mail.port and mail.tls in mohor.yaml. Try with:", command: "mohor doctor --data {data}"},
		"outbox.ok":   {ms: "Peti keluar kosong atau bergerak.", en: "The outbox is empty or moves."},
		"outbox.late": {ms: "{waiting} surat menunggu; yang paling lama sejak {since}.", en: "{waiting} letters wait, the oldest since {since}.", fixMS: "Buka Peti keluar untuk jawapan pelayan e-mel bagi setiap surat.", fixEN: "Open the outbox for the mail server's answer to each letter."},
		"outbox.bounced": {ms: "{bounced} kod tidak sampai dalam 24 jam yang lalu.", en: "{bounced} codes did not arrive in the last 24 hours.",
			fixMS: "Betulkan alamat pegawai melalui halaman pegawai. Jika semuanya ke satu domain, hubungi pentadbir e-mel domain itu.", fixEN: "Correct the addresses on the officers' pages. If all are of one domain, call its postmaster."},
	}
}

func trustWords() map[string]words {
	return map[string]words{
		"crl.ok":    {ms: "Senarai pembatalan (CRL) adalah baharu.", en: "The revocation lists (CRLs) are fresh."},
		"crl.stale": {ms: "CRL bagi {ca} tidak diperbaharui dan tamat {until}.", en: "The CRL of {ca} is not renewed and ends {until}.", fixMS: "Biasanya HSM puncanya. Terbitkan dengan tangan selepas HSM pulih:", fixEN: "The HSM is the usual cause. When it is back, publish by hand:", command: "mohor ca crl --data {data} --publish {ca}"},
		"ocsp.ok":   {ms: "Penjawab OCSP memberi jawapan baharu yang dapat disahkan.", en: "The OCSP responder gives fresh answers that verify."},
		"ocsp.late": {ms: "Sijil penjawab OCSP bagi {ca} tidak diperbaharui dan tamat {until}.", en: "The OCSP responder's certificate of {ca} is not renewed and ends {until}.",
			fixMS: "Get laluan memperbaharuinya sendiri setiap enam jam dan apabila dimulakan; HSM atau jam biasanya puncanya. Lihat log, kemudian mulakan semula get laluan:", fixEN: "The gateway renews it by itself, each six hours and at a start; HSM or clock is the usual cause. Look into the log, then start the gateway again:", command: "journalctl -u mohor | grep 'OCSP responder'\nsystemctl restart mohor"},
		"ocsp.unit": {ms: "Penjawab OCSP bagi {ca} tiada sijil yang sah; pertanyaan OCSP tidak dijawab.", en: "The OCSP responder of {ca} has no valid certificate; OCSP requests get no answer.",
			fixMS: "Get laluan membuatnya apabila dimulakan, kecuali sijil kunci itu pernah dibatalkan atau jam salah. Lihat log:", fixEN: "A start makes one, unless a certificate of its key was revoked or the clock is wrong. Look into the log:", command: "journalctl -u mohor | grep 'OCSP responder'"},
		"ocsp.fails": {ms: "Penjawab OCSP bagi {ca} tidak memberi jawapan yang boleh dipercayai: {reason}. Dokumen peringkat B-LT dan ke atas menunggu.", en: "The OCSP responder of {ca} gives no answer that can be relied on: {reason}. Documents of B-LT and above wait.",
			fixMS: "Kunci ocsp dalam token atau pangkalan data biasanya puncanya. Semak dengan:", fixEN: "The key ocsp in the token, or the database, is the usual cause. Try with:", command: "mohor doctor --data {data}"},
		"sources.none": {ms: "Belum ada pelayan OCSP atau CRL luar yang ditanya.", en: "No OCSP responder or CRL of others was asked lately."},
		"sources.ok":   {ms: "Pelayan OCSP dan CRL luar menjawab.", en: "OCSP responders and CRLs of others answer."},
		"sources.fails": {ms: "{source} tidak memberi jawapan yang sah sejak {since}: {reason}. Dokumen peringkat B-LT dan ke atas yang memerlukannya menunggu.", en: "{source} has given no valid answer since {since}: {reason}. Documents of B-LT and above that need it wait.",
			fixMS: "Hubungi pengendalinya, atau benarkan sambungan melalui tembok api. Jika alamatnya di rangkaian dalaman, benarkan dalam mohor.yaml:", fixEN: "Ask its operator, or let the firewall through. If its address is on an inner network, allow it in mohor.yaml:", command: "outbound:\n  hosts: [{host}]"},
		"certificates.ok": {ms: "Sijil perkhidmatan dan pihak berkuasa masih sah.", en: "The certificates of services and authorities are valid."},
		"certificates.authority": {ms: "Sijil CA {name} tamat dalam {days} hari ({until}).", en: "The certificate of the CA {name} ends in {days} days ({until}).",
			fixMS: "Buat CA baharu di sebelahnya dan biarkan ia mengeluarkan sijil; beri akarnya kepada semua yang mempercayai CA lama sebelum itu.", fixEN: "Make another CA beside it and have it issue; give its root to all who trust this one before.", command: "mohor ca init --data {data}\nmohor ca rollover --data {data}"},
		"certificates.ended": {ms: "Sijil CA {name} telah tamat ({until}). Sijil pegawai di bawahnya tidak dapat disahkan.", en: "The certificate of the CA {name} has ended ({until}). Officers' certificates below it do not verify.",
			fixMS: "Buat CA baharu dan keluarkan semula sijil:", fixEN: "Make another CA and issue anew:", command: "mohor ca init --data {data}\nmohor ca rollover --data {data}"},
		"certificates.unit": {ms: "{name} tiada sijil yang sah; setem masa tidak diberi.", en: "{name} has no valid certificate; time-stamps are not given.",
			fixMS: "Get laluan membuatnya apabila dimulakan, kecuali sijil kunci itu pernah dibatalkan atau jam salah. Lihat log:", fixEN: "A start makes one, unless a certificate of its key was revoked or the clock is wrong. Look into the log:", command: "journalctl -u mohor | grep 'OCSP responder'"},
		"certificates.tls": {ms: "Sijil TLS get laluan tamat dalam {days} hari ({until}).", en: "The gateway's TLS certificate ends in {days} days ({until}).",
			fixMS: "Perbaharui sijil dalam tls.cert dan tls.key, kemudian mulakan semula get laluan:", fixEN: "Renew what tls.cert and tls.key name, then start the gateway again:", command: "systemctl restart mohor"},
		"certificates.tlsended": {ms: "Sijil TLS get laluan telah tamat ({until}). Pelayar dan aplikasi menolaknya.", en: "The gateway's TLS certificate has ended ({until}). Browsers and apps refuse it.",
			fixMS: "Perbaharui sijil dalam tls.cert dan tls.key, kemudian mulakan semula get laluan:", fixEN: "Renew what tls.cert and tls.key name, then start the gateway again:", command: "systemctl restart mohor"},
		"stamps.own":   {ms: "Setem masa dibuat oleh unit sendiri.", en: "Our own unit makes the time-stamps."},
		"stamps.ok":    {ms: "Pelayan setem masa luar menjawab.", en: "The external time-stamp servers answer."},
		"stamps.some":  {ms: "{out} daripada {all} pelayan setem masa tidak menjawab; yang lain mengambil alih.", en: "{out} of {all} time-stamp servers do not answer; others take their place.", fixMS: "Hubungi pengendalinya. Semak setiap satu dengan:", fixEN: "Ask their operators. Try each with:", command: "mohor doctor --data {data}"},
		"stamps.fails": {ms: "Tiada pelayan setem masa menjawab. Dokumen peringkat B-T dan ke atas menunggu.", en: "No time-stamp server answers. Documents of B-T and above wait.", fixMS: "Hubungi pengendalinya, atau benarkan unit sendiri menggantikannya:", fixEN: "Ask their operators, or let our own unit stand in:", command: "timestamps:\n  fallback: true"},
		"issuer.ok":    {ms: "CA luar menjawab.", en: "The external CA answers."},
		"issuer.fails": {ms: "CA luar tidak menjawab: {reason}. Tiada sijil dikeluarkan.", en: "The external CA does not answer: {reason}. No certificate is issued.", fixMS: "Hubungi pengendali CA, atau benarkan sambungan melalui tembok api. Semak dengan:", fixEN: "Ask the CA's operator, or let the firewall through. Try with:", command: "mohor doctor --data {data}"},
	}
}

func machineWords() map[string]words {
	return map[string]words{
		"clock.ok":         {ms: "Jam mesin boleh dipercayai.", en: "The machine's clock can be relied on."},
		"clock.wrong":      {ms: "Jam mesin tidak boleh dipercayai; setem masa tidak dibuat.", en: "The machine's clock cannot be relied on; no time-stamps are made.", fixMS: "Betulkan jam dan biarkan perkhidmatan masa menjaganya; get laluan meneruskan sendiri:", fixEN: "Set the clock right and have a time service keep it; the gateway goes on by itself:", command: "chronyc tracking"},
		"versions.ok":      {ms: "Versi program, token dan pangkalan data.", en: "Versions of program, token and database."},
		"versions.unknown": {ms: "Versi: sebahagian tidak dapat ditanya sekarang.", en: "Versions: some parts cannot be asked now."},
		"mode.sandbox":     {ms: "Ini kotak pasir: sijil dan tandatangannya TIDAK SAH.", en: "This is a sandbox: its certificates and signatures are NOT VALID."},
		"mode.live":        {ms: "Pemasangan sebenar.", en: "A real installation."},
		"config.ok":        {ms: "Tetapan tidak menimbulkan amaran.", en: "The settings give no cause for a warning."},
		"config.alarms":    {ms: "Amaran tidak dihantar kepada sesiapa.", en: "Alarms are mailed to nobody.", fixMS: "Tetapkan penerima dalam mohor.yaml dan mulakan semula get laluan:", fixEN: "Name those to be told in mohor.yaml and start the gateway again:", command: "mail:\n  alarm_to: [pentadbir@agensi.gov.my]"},
		"config.https":     {ms: "base_url bukan https: PIN dan kod boleh dibaca dalam perjalanan.", en: "base_url is not https: PINs and codes can be read on their way.", fixMS: "Letakkan proksi TLS di hadapan, atau beri get laluan sijilnya, dan tukar base_url:", fixEN: "Put a TLS proxy in front, or give the gateway a certificate, and change base_url:", command: "tls:\n  cert: tls.pem\n  key: tls.key"},
		"config.policy":    {ms: "ca.tsa_policy_oid ialah nombor contoh.", en: "ca.tsa_policy_oid is a number for examples.", fixMS: "Gunakan OID agensi sendiri dalam mohor.yaml:", fixEN: "Put your own OID into mohor.yaml:", command: "ca:\n  tsa_policy_oid: \"1.3.6.1.4.1…\""},
	}
}

func eventWords() map[string]words {
	return map[string]words{
		// What those are told who answer the telephone.
		"service.ok":      {ms: "Perkhidmatan tandatangan berfungsi.", en: "The signing service works."},
		"service.fail":    {ms: "Perkhidmatan tandatangan terganggu. JDN sudah dimaklumkan; minta pegawai cuba semula kemudian.", en: "The signing service is disturbed. JDN has been told; ask officers to try again later."},
		"service.unknown": {ms: "Keadaan perkhidmatan belum diketahui.", en: "It is not known yet how the service is."},
		"letters.ok":      {ms: "E-mel (kod dan makluman) dihantar keluar.", en: "Mail (codes and notices) goes out."},
		"letters.fail":    {ms: "E-mel tidak dapat dihantar: kod tidak sampai kepada pegawai. JDN sudah dimaklumkan.", en: "No mail goes out: codes do not reach officers. JDN has been told."},
		"letters.unknown": {ms: "Keadaan e-mel belum diketahui.", en: "It is not known yet whether mail goes out."},
		"signing":         {ms: "Penandatanganan menemui rekod yang tidak sepadan dengan rantaian audit: {object}.", en: "Signing met a record that does not agree with the audit chain: {object}.", fixMS: "Mungkin pangkalan data diubah atau dipulihkan daripada sandaran lama. Jangan padam apa-apa; lihat acara ini:", fixEN: "The database may have been changed, or an old backup put back. Delete nothing; look at the event:", command: "mohor audit show --action signer.alarm"},
		"disowned":        {ms: "Seorang pegawai menekan “Ini bukan saya” bagi transaksi {object}.", en: "An officer pressed “This was not me” for transaction {object}.", fixMS: "Telefon pegawai itu sekarang dan tanya pemilik sistem siapa yang membuat permintaan. Acara ini menamakan pegawai:", fixEN: "Call the officer now, and ask the system's owner who made the request. The event names the officer:", command: "mohor audit show --action transaction.disown"},
	}
}
