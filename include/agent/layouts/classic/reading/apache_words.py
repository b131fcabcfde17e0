"""Words of Apache's that say how a site is served, not where anything of it lies: they go over as they are written."""

FILES = {
    "authuserfile": "passwords of the site",
    "authgroupfile": "groups of the site's passwords",
    "authdbmuserfile": "passwords of the site",
    "sslcacertificatefile": "the certificates that the site takes of its visitors",
    "sslcarevocationfile": "the certificates that the site takes no more",
    "xsendfilepath": "a folder that the site gives files from",
    "ssldhparametersfile": "parameters of the site's encryption",
}
ALIASES = frozenset({"alias", "aliasmatch", "scriptalias", "scriptaliasmatch"})
KNOWN = frozenset(
    """
    <directory <directorymatch <else <elseif <files <filesmatch <if <limit <limitexcept <location <locationmatch
    <proxy <proxymatch <requireall <requireany <requirenone acceptpathinfo action addcharset adddefaultcharset
    adddescription addencoding addhandler addicon addiconbyencoding addiconbytype addinputfilter addlanguage
    addoutputfilter addoutputfilterbytype addtype allow allowencodedslashes allowmethods allowoverride
    allowoverridelist authbasicauthoritative authbasicprovider authmerging authname authtype authzproviderbinding
    balancermember brotlicompressionquality brotlifilternote brotliwindowsize browsermatch browsermatchnocase
    cachedisable cacheenable cachequickhandler cgipassauth checkspelling contentdigest customlog defaulticon
    defaultlanguage define deflatecompressionlevel deflatefilternote deny directoryindex directoryslash documentroot
    enablemmap enablesendfile errordocument errorlog errorlogformat expiresactive expiresbytype expiresdefault
    extendedstatus fallbackresource fcgidbusytimeout fcgididletimeout fcgidinitialenv fcgidiotimeout
    fcgidmaxprocessesperclass fcgidmaxrequestlen fcgidmaxrequestsperprocess fcgidminprocessesperclass
    fcgidprocesslifetime fileetag forcetype h2direct h2modernt1sonly h2push h2upgrade header headername
    hostnamelookups http2push imapdefault indexheadinsert indexignore indexignorereset indexoptions
    indexorderdefault keepalive keepalivetimeout languagepriority limitinternalrecursion limitrequestbody
    limitrequestfields limitrequestfieldsize limitrequestline limitxmlrequestbody logformat loglevel
    maxkeepaliverequests mdomain modpagespeed multiviewsmatch options order passenv php_admin_flag php_flag
    protocols protocolshonororder proxyaddheaders proxyerroroverride proxyfcgibackendtype proxyfcgisetenvif
    proxyiobuffersize proxymaxforwards proxypassinherit proxypassreverse proxypassreversecookiedomain
    proxypassreversecookiepath proxypreservehost proxyreceivebuffersize proxyrequests proxyset proxytimeout proxyvia
    qos_srvmaxconnperip readmename redirect redirectmatch redirectpermanent redirecttemp remoteipheader
    remoteipinternalproxy remoteiptrustedproxy removecharset removeencoding removehandler removeinputfilter
    removelanguage removeoutputfilter removetype requestheader requestreadtimeout require rewritebase rewritecond
    rewriteengine rewriteoptions rewriterule rlimitcpu rlimitmem rlimitnproc satisfy secauditengine
    secrequestbodyaccess secrequestbodylimit secruleengine secruleremovebyid secruleremovebytag serveradmin
    serveralias servername serverpath serversignature servertokens setenv setenvif setenvifnocase sethandler
    setinputfilter setoutputfilter sslciphersuite sslcompression sslengine sslhonorcipherorder sslopensslconfcmd
    ssloptions sslprotocol sslproxycheckpeercn sslproxycheckpeerexpire sslproxycheckpeername sslproxyengine
    sslproxyverify sslproxyverifydepth sslrequire sslrequiressl sslsessiontickets sslstrictsnivhostcheck
    sslusestapling sslverifyclient sslverifydepth substitute timeout traceenable transferlog typesconfig undefine
    unsetenv usecanonicalname usecanonicalphysicalport wsgiapplicationgroup wsgipassauthorization wsgiprocessgroup
    xbithack xsendfile
    """.split()
)
